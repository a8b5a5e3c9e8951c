"""Archives of real or simulated patients: where each layout keeps its files, how they are read and checked, and how
they become the prepared form. A new layout goes here. It may import ``riskmap.project`` and ``riskmap.data``."""
