"""Many runs and what they say: plans of experiments, their execution, scores and tables, what was found, and the
figures that show it. It may import the library, ``project``, ``data``, ``measure``, ``training`` and ``figures``."""
