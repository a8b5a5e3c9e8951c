"""Notebooks executed from outside: one page, the whole tutorial, sweeps on many workers, the site, and what is
published in the documents. It stands on top and may import every other room; none imports it."""
