"""The files that an experiment leaves, sealed: one that was cut, edited or mixed up is refused, not read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riskmap.project.files import digest_of, read_json, write_json

# what is measured; cost.json is written last, and holds the digests of these
MEASURED = ("runs", "harm", "rates")


def seal(folder: Path, cost: Mapping[str, Any]) -> None:
    """Write ``cost.json`` of an experiment, with the digest of each of its other files.

    Args:
        folder: of the experiment's records.
        cost: what it took.
    """
    digests = {name: digest_of(read_json(folder / f"{name}.json")) for name in MEASURED}
    write_json(folder / "cost.json", {**cost, "digests": digests})


def require_whole(folder: Path, plan: str) -> None:
    """Check that the records of an experiment are all there, and are those that were written together.

    Args:
        folder: of the experiment's records.
        plan: its name.

    Raises:
        ValueError: a file is missing, or is not the one that was sealed; the message says how to make them anew.
    """
    again = f"python -m riskmap experiment --plan {plan} --results {folder.parent} makes them"
    missing = [f"{name}.json" for name in (*MEASURED, "cost") if not (folder / f"{name}.json").is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)} of the experiment {plan!r}; {again}")
    try:
        digests = read_json(folder / "cost.json")["digests"]
        changed = [
            f"{name}.json" for name in MEASURED if digest_of(read_json(folder / f"{name}.json")) != digests[name]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'cost.json'} does not hold the digests of the other records; {again}") from error
    if changed:
        raise ValueError(
            f"{', '.join(changed)} in {folder} is not what was written with cost.json: cut, edited, or of another "
            f"experiment; {again} anew"
        )
