"""Notebooks in a real JupyterLab, and the site: ``python -m riskmap test-browser`` runs these tests."""
