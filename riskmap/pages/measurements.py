"""How a notebook hands its numbers over: unseen in its output, from where the record of the run takes them."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

MIME = "application/vnd.riskmap.measurements+json"


def keep_measurements(rows: pd.DataFrame) -> None:
    """Put the rows of a table into the notebook's output, where a reader does not see them; elsewhere nothing happens.

    A row is one measurement, so that the rows of many re-runs make one table: what it belongs to (pair, arm, steps,
    seed, patient, as far as there are any), the name of its ``run``, and the measured numbers, such as ``dice``.
    """
    if get_ipython() is None:
        return
    records = json.loads(rows.to_json(orient="records", double_precision=15))
    # an empty text, since converters complain of an output that they cannot show at all
    publish_display_data({"text/plain": "", MIME: records})


def kept_measurements(executed: Path) -> list[dict[str, Any]]:
    """Return the rows that an executed notebook has kept, in the order of its cells.

    Two comparisons of a page may share runs, such as those from scratch. A row that names its run counts once.
    """
    import nbformat  # a second to load, which the kernels that keep results can do without

    cells = nbformat.read(executed, as_version=4).cells
    kept = [output.data[MIME] for cell in cells for output in cell.get("outputs", []) if MIME in output.get("data", {})]
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row in (dict(each) for table in kept for each in table):
        text = json.dumps(row, sort_keys=True)
        if "run" not in row or text not in seen:
            rows.append(row)
        seen.add(text)
    return rows
