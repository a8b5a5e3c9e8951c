"""The archive layouts that are known by name, and which one an archive has.

A new layout is a function that finds subjects and an entry in ``LAYOUTS``.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from data_scripts.archives.glioma_layouts import GLIOMA_LAYOUTS, MSD_LAYOUTS
from data_scripts.archives.layout import BRAIN_BOX, Layout, SubjectFiles, matching
from data_scripts.archives.lgg_layout import LGG_LAYOUTS
from riskmap.project.folders import PARAMETERS_FILE

ISEG_MODALITIES = ("T1", "T2")
# the challenge keeps the labels of all later subjects to itself
ISEG_LABELLED = 10


def find_iseg2019(archive: Path) -> list[SubjectFiles]:
    """Find ``subject-N-{T1,T2,label}.{hdr,img}`` at any depth, in the order of N."""
    paths = matching(archive, r"subject-\d+-(?:T1|T2|label)\.(?:hdr|img)")
    found = {(path.parent, path.name.split("-")[1]) for path in paths}
    labelled = {(path.parent, path.name.split("-")[1]) for path in paths if "-label." in path.name}
    return [
        SubjectFiles(
            archive=archive,
            subject=f"subject-{int(number)}",
            images={modality: folder / f"subject-{number}-{modality}.hdr" for modality in ISEG_MODALITIES},
            label=folder / f"subject-{number}-label.hdr",
            site="1",
            is_test=int(number) > ISEG_LABELLED and (folder, number) not in labelled,
        )
        for folder, number in sorted(found, key=lambda each: (int(each[1]), each))
    ]


def title_of_iseg(archive: Path) -> str:
    """Tell iSeg-2017 from iSeg-2019, whose layout is the same, by the name of the archive or of a folder in it."""
    folders = [archive.resolve(), *(path for path in archive.rglob("*") if path.is_dir())]
    years = {found[1] for folder in folders if (found := re.search(r"(?i)iseg[-_ ]?(2017|2019)", folder.name))}
    return f"iSeg-{years.pop()}" if len(years) == 1 else "iSeg-2019 or 2017"


def choose_layout(archive: Path, layout: str | Layout = "auto", names: Sequence[str] = ()) -> Layout:
    """Return the layout by which an archive is read.

    Args:
        archive: folder of the archive.
        layout: a name in ``LAYOUTS``; "auto": the one that finds subjects; a layout itself is returned as it is.
        names: which layouts "auto" looks for; empty: all.

    Raises:
        ValueError: if the archive is no folder or was left half-simulated, the name is unknown, or "auto" finds no
            layout or several.
    """
    if not archive.is_dir():
        raise ValueError(f"archive {archive} is not a folder")
    if (archive / PARAMETERS_FILE).is_file() and not (archive / "manifest.json").is_file():
        raise ValueError(f"archive {archive} is half-simulated; run its simulator again, which goes on with it")
    if isinstance(layout, Layout):
        return layout
    name = detect_layout(archive, names) if layout == "auto" else layout
    if name not in LAYOUTS:
        raise ValueError(f"layout must be auto or one of {', '.join(LAYOUTS)}, got {name!r}")
    return LAYOUTS[name]


def detect_layout(archive: Path, names: Sequence[str] = ()) -> str:
    """Return the name of the one layout, of ``names`` or of all, that finds subjects in ``archive``.

    Raises:
        ValueError: if none does, or more than one.
    """
    names = list(names or LAYOUTS)
    fitting = [name for name in names if LAYOUTS[name].find(archive)]
    if len(fitting) != 1:
        seen = f"fits {' and '.join(fitting)}" if fitting else "fits no known layout"
        raise ValueError(f"archive {archive} {seen}; name one of {', '.join(names)} with --layout")
    return fitting[0]


LAYOUTS: dict[str, Layout] = {
    **GLIOMA_LAYOUTS,
    "iseg2019": Layout(
        name="iseg2019",
        title="iSeg-2019",
        find=find_iseg2019,
        modalities=ISEG_MODALITIES,
        label_table={0: "background", 10: "CSF", 150: "grey matter", 250: "white matter"},
        targets={
            "TISSUE": {
                "title": "brain tissue",
                "classes": ["background", "CSF", "grey matter", "white matter"],
                "values": {"10": 1, "150": 2, "250": 3},
            },
        },
        orientation_in_header=False,
        licence=(
            "iSeg-2019 and iSeg-2017: the data are given out by the organisers after registration. They must not be "
            "redistributed, and neither must what is prepared from them. They may be used only to prepare an entry to "
            "the challenge; every other use, this tutorial's included, needs the organisers' permission."
        ),
        citation=(
            "Sun Y, Gao K, Wu Z, et al. Multi-Site Infant Brain Segmentation Algorithms: The iSeg-2019 Challenge. "
            "IEEE TMI 40(5):1363-1376, 2021. Wang L, Nie D, Li G, et al. Benchmark on Automatic 6-month-old Infant "
            "Brain Segmentation Algorithms: The iSeg-2017 Challenge. IEEE TMI, 2019, doi:10.1109/TMI.2019.2901712."
        ),
        title_of=title_of_iseg,
        box=BRAIN_BOX,
    ),
    **MSD_LAYOUTS,
    **LGG_LAYOUTS,
}
