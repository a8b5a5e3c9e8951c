"""Scripts that simulate archives and turn archives, simulated or real, into the form that riskmap reads."""
