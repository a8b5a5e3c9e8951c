"""Commands that simulate archives and turn archives, simulated or real, into the form that ``riskmap.data`` reads. They
may import both rooms below, ``archives`` and ``simulation``; no module of ``riskmap`` imports anything from here."""
