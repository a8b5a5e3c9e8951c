"""What is measured of arrays that are already there: overlap, pixels harmed and repaired, whether a map points at them,
and means with intervals over patients. Nothing here trains or draws. It may import the library, ``project`` and
``data``."""
