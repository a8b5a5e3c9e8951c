"""One progress bar for terminals and notebooks."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress_bar(
    items: Iterable[Item], title: str | None, *, total: int, unit: str, initial: int = 0, shown: bool = True
) -> Iterable[Item]:
    """Iterate over ``items`` beside a text bar with the time left.

    Text, since a bar that is a widget stays at 0 % in the stored output of a page; on standard output, since notebooks
    paint standard error red; a line every five seconds at most where no terminal overwrites it.
    """
    interval = 0.1 if sys.stdout.isatty() else 5.0
    return tqdm(
        items,
        desc=title,
        total=total,
        unit=unit,
        initial=initial,
        disable=not shown,
        file=sys.stdout,
        mininterval=interval,
        maxinterval=interval,
        ncols=80,
    )
