"""Simulated patients on a real anatomy: deformation, tumour, signal, scanner, and the archive that holds them. It may
import ``riskmap.project``, and nothing of ``data_scripts.archives``."""
