"""The notebooks in a real JupyterLab and a real browser; ``python -m riskmap test-browser`` runs these tests."""
