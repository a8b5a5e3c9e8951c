"""Notebooks executed from outside: one page, the whole tutorial, sweeps on many workers, HTML pages, and what is
published in the README. It stands on top and may import every other room; none imports it."""
