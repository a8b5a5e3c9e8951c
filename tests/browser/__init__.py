"""The notebooks in a real JupyterLab, the site, and a real browser; ``python -m riskmap test-browser`` runs these tests."""
