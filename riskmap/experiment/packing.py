"""Run records in few bytes: what many runs share is written once, and patients' numbers stand in columns.

A clone carries the records of two experiments; written out they would be many times as large.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any


def packed(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return compact run records as ``shared``, a list of values, and ``runs``, which name them by their places.

    >>> training = {"steps": 300, "learning_rate": 0.006}
    >>> scored = {"a": {"dice": [0.5], "empty": [False]}, "b": {"dice": [0.7], "empty": [False]}}
    >>> runs = [{"parameters": {"seed": n, "training": training}, "results": {"patients": scored}} for n in (0, 1)]
    >>> small = packed(runs)
    >>> small["runs"][1]["parameters"], small["runs"][1]["places"]["training"], small["shared"][0]["steps"]
    ({'seed': 1}, 0, 300)
    >>> unpacked(small) == runs
    True
    """
    places: dict[str, int] = {}

    def place(value: Any) -> int:
        return places.setdefault(json.dumps(value), len(places))

    rows = []
    for run in runs:
        parameters, results = run["parameters"], dict(run["results"])
        large = {name: place(value) for name, value in parameters.items() if isinstance(value, dict | list)}
        patients = results.pop("patients")
        row = {name: value for name, value in run.items() if name not in ("parameters", "results")}
        row["parameters"] = {name: value for name, value in parameters.items() if name not in large}
        row["places"] = large
        row["patients"] = place(list(patients))
        row["empty"] = place([score["empty"] for score in patients.values()])
        row["dice"] = [score["dice"] for score in patients.values()]
        rows.append(row | {"results": results})
    return {"shared": [json.loads(value) for value in places], "runs": rows}


def unpacked(records: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of :func:`packed` written out."""
    shared, runs = records["shared"], []
    for row in records["runs"]:
        run = dict(row)
        names, empty, dice = shared[run.pop("patients")], shared[run.pop("empty")], run.pop("dice")
        scores = [{"dice": each, "empty": absent} for each, absent in zip(dice, empty, strict=True)]
        large = {name: shared[place] for name, place in run.pop("places").items()}
        run["parameters"] = run["parameters"] | large
        run["results"] = run["results"] | {"patients": dict(zip(names, scores, strict=True))}
        runs.append(run)
    return runs
