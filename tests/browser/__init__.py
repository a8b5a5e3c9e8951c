"""Notebooks in a real JupyterLab, and the site, in a real browser; ``python -m riskmap test-browser`` runs these tests."""
