"""What a notebook of the tutorial talks to: its parameters, one object for what it compares, and the numbers that it
hands on. It may import every room but ``rerun``."""
