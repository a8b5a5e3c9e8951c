"""What an exercise reads of the published records."""

from functools import cache

import numpy as np
import pandas as pd

from riskmap.project.files import read_json
from riskmap.project.paths import RESULTS

_PAIR = ("FLAIR:WT", "T1ce:TC")


def published_dice(arm: str) -> np.ndarray:
    """Return the Dice of an arm in the published run of page 3's first pair, [patients, seeds], 0..1.

    Patients and seeds stand in the same order for every arm.

    Raises:
        ValueError: no run of this arm was published.
    """
    from riskmap.experiment.score_tables import require_arms  # loads MONAI

    rows = published_scores()
    require_arms(rows, [arm])
    return rows[rows["arm"] == arm].pivot_table(index="patient", columns="seed", values="dice").to_numpy()


@cache
def published_scores() -> pd.DataFrame:
    """Return the published rows of page 3's first pair; see :func:`riskmap.experiment.score_tables.scores`."""
    from riskmap.experiment.score_tables import MAIN_SHOTS, rows_of_pair, scores  # loads MONAI

    return rows_of_pair(scores(read_json(RESULTS / "tutorial.json")), *_PAIR, MAIN_SHOTS)
