"""The teacher's kit in ``workshop/``: what records say stands between ``<!-- name -->`` and ``<!-- /name -->``."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from riskmap.experiment.brief import Brief
from riskmap.experiment.shown import markdown_table
from riskmap.leep import LeepStatistics
from riskmap.project.files import atomic_path
from riskmap.project.paths import PROJECT_ROOT

KIT = PROJECT_ROOT / "workshop"
# page 2 computes LEEP on these by hand: the source's probability of "tumour", and the label "core"
OF_TUMOUR = (0.1, 0.2, 0.1, 0.6, 0.7, 0.9, 0.8, 0.1)
IS_CORE = (0, 0, 0, 0, 0, 1, 1, 1)
_PAGES_OF_90_MINUTES = range(6)


def kit_texts(brief: Brief, time: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, str]:
    """Return every generated text of the kit and the slides, Markdown, by its name.

    Args:
        brief: of both experiments.
        time: ``results/tutorial_time.json``, how long the tutorial took.
        cost: ``results/cost.json``, what each page takes alone.
    """
    return brief.texts() | {
        "times": times(time, cost),
        "first-call": f"On the measuring machine the first `make tutorial` took {_duration(time['seconds'])}.",
        "answers": answers(brief),
        "eight-pixels": eight_pixels(),
        "eight-pixels-blank": eight_pixels_blank(),
        "eight-pixels-leep": eight_pixels_leep(),
    }


def times(time: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """Return the seconds of each page, with the networks there and without, as a table and a sentence.

    Page 0 to 5 are those of a workshop of 90 minutes: their sum stands below.
    """
    pages = time["pages"]
    rows = [
        {
            "page": f"{int(page[:2])} · {page[3:].replace('_', ' ')}",
            "machine time, networks there": _duration(pages[page]["seconds"]) if page in pages else "–",
            "machine time, trained on the spot": _duration(alone),
        }
        for page, alone in sorted(cost["seconds"].items())
    ]
    told = [page for page in sorted(pages) if int(page[:2]) in _PAGES_OF_90_MINUTES]
    there, alone = (sum(values) for values in ([pages[p]["seconds"] for p in told], [cost["seconds"][p] for p in told]))
    machine = f"{time['cores']} cores of an {time['processor']}"
    return (
        f"{markdown_table(pd.DataFrame(rows))}\n\n"
        f"Pages 0 to 5 in a row: {_duration(there)} with the networks there, {_duration(alone)} when each page trains "
        f"its own. Measured on {machine}, {time['jobs']} networks side by side."
    )


def eight_pixels() -> str:
    """Return the eight pixels of page 2 with their expected prediction and hardness, as a table."""
    statistics = _leep()
    probabilities, labels = _batch()
    hardness = statistics.hardness(probabilities, labels).flatten().tolist()
    core = statistics.conditional()[1] @ probabilities[0, :, 0].double()
    rows = [
        {"pixel": place, "source says tumour": says, "label core": label, "E(core)": f"{e:.3f}", "h (nats)": f"{h:.3f}"}
        for place, (says, label, e, h) in enumerate(zip(OF_TUMOUR, IS_CORE, core.tolist(), hardness, strict=True))
    ]
    return markdown_table(pd.DataFrame(rows).astype(str))


def eight_pixels_blank() -> str:
    """Return the table of the eight pixels as it is handed out: E(core) and h are to be filled in."""
    rows = [
        {"pixel": place, "source says tumour": says, "label core": label, "E(core)": "", "h (nats)": ""}
        for place, (says, label) in enumerate(zip(OF_TUMOUR, IS_CORE, strict=True))
    ]
    return markdown_table(pd.DataFrame(rows).astype(str))


def answers(brief: Brief) -> str:
    """Return what the records say to the four questions of the workshop, a sentence or two each."""
    texts = brief.texts()
    parts = (("transfer", "counts", "hurt"), ("pointing",), ("maps-verdict",), ("twins-verdict",))
    return "\n".join(f"{n}. {' '.join(texts[name] for name in names)}" for n, names in enumerate(parts, 1))


def eight_pixels_leep() -> str:
    """Return the LEEP of the eight pixels."""
    return f"LEEP of the eight pixels: {_leep().score([_batch()]):.4f} nats."


def kit_files(folder: Path = KIT) -> Iterator[Path]:
    """Yield the Markdown files of the kit."""
    yield from sorted(folder.glob("*.md"))


def filled(text: str, texts: Mapping[str, str]) -> str:
    """Return a text of the kit with what stands between its markers made anew.

    Raises:
        ValueError: a marker has no text of its name, or no end.

    >>> filled("<!-- a -->\\nold\\n<!-- /a -->", {"a": "new"})
    '<!-- a -->\\nnew\\n<!-- /a -->'
    """

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        if name not in texts:
            raise ValueError(f"nothing is called {name}; there are {', '.join(sorted(texts))}")
        return f"<!-- {name} -->\n{texts[name]}\n<!-- /{name} -->"

    whole = re.compile(r"<!-- ([a-z0-9-]+) -->\n.*?<!-- /\1 -->", re.DOTALL)
    rest = whole.sub("", text)
    left = re.search(r"<!-- /?[a-z0-9-]+ -->", rest)
    if left:
        raise ValueError(f"{left[0]} stands alone")
    return whole.sub(replaced, text)


def publish_kit(texts: Mapping[str, str], folder: Path = KIT) -> None:
    """Write what is generated of the kit anew."""
    for path in kit_files(folder):
        new = filled(path.read_text(encoding="utf-8"), texts)
        with atomic_path(path) as temporary:
            temporary.write_text(new, encoding="utf-8")


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the softmax [1, 2, 1, 8] and the labels [1, 1, 8] of the eight pixels."""
    tumour = torch.tensor(OF_TUMOUR, dtype=torch.float64)
    return torch.stack([1 - tumour, tumour])[None, :, None], torch.tensor(IS_CORE).reshape(1, 1, -1)


def _leep() -> LeepStatistics:
    return LeepStatistics(2, 2).update(*_batch())


def _duration(seconds: float) -> str:
    """Return "7 s", and from two minutes on "2.8 min".

    >>> _duration(7.2), _duration(168.8)
    ('7 s', '2.8 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
