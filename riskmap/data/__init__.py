"""Patients, from a prepared cohort on the disk to training batches: volumes, tasks, slices, patches, and the simulated
cohorts that are made when they are missing. It may import the library and ``project``."""
