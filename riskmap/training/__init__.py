"""From patients to finished runs: networks, the arms and what each makes of the data, the training loop, predictions,
run records and map files. It may import the library, ``project``, ``data`` and ``measure``."""
