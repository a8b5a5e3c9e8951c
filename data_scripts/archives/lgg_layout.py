"""The LGG segmentation set of Buda et al. as Kaggle gives it: a folder of TIFF slices for each patient."""

import re
from pathlib import Path

from data_scripts.archives.layout import Layout, SubjectFiles, matching

# what red, green and blue show
LGG_MODALITIES = ("T1", "FLAIR", "T1ce")
_FOLDER = r"(?P<patient>TCGA_(?P<site>[A-Z0-9]{2})_[A-Z0-9]{4})_\d{8}"


def find_lgg(archive: Path) -> list[SubjectFiles]:
    """Find ``TCGA_XX_NNNN_DATE/TCGA_XX_NNNN_DATE_k.tif`` and ``.._k_mask.tif`` at any depth; XX is the site."""
    folders = [path for path in matching(archive, _FOLDER) if path.is_dir()]
    return [
        SubjectFiles(
            archive=archive,
            subject=folder.name,
            # each stands for the slices 1 to n
            images=dict.fromkeys(LGG_MODALITIES, folder / f"{folder.name}_*[0-9].tif"),
            label=folder / f"{folder.name}_*_mask.tif",
            site=match["site"],
            patient=match["patient"],
            channels={modality: place for place, modality in enumerate(LGG_MODALITIES)},
        )
        for folder in folders
        if (match := re.fullmatch(_FOLDER, folder.name)) and any(folder.glob("*.tif"))
    ]


LGG_LAYOUTS = {
    "lgg_kaggle": Layout(
        name="lgg_kaggle",
        title="TCGA-LGG, FLAIR abnormality of lower-grade gliomas (Buda et al.)",
        find=find_lgg,
        modalities=LGG_MODALITIES,
        label_table={0: "background", 255: "FLAIR abnormality"},
        targets={
            "WT": {"title": "whole tumour", "classes": ["background", "whole tumour"], "values": {"255": 1}},
        },
        orientation_in_header=False,
        licence=(
            "CC BY-NC-SA 4.0 (set and masks); source images TCIA TCGA-LGG, CC BY 3.0. BraTS, FeTS and the Decathlon "
            "hold many of these patients under other names: never mix them as source and held-out target."
        ),
        citation=(
            "Buda M, Saha A, Mazurowski MA. Association of genomic subtypes of lower-grade gliomas with shape features "
            "automatically extracted by a deep learning algorithm. Comput Biol Med 109:218-225, 2019. Mazurowski MA, "
            "et al. J Neurooncol 133:27-35, 2017. Pedano N, et al. TCGA-LGG. The Cancer Imaging Archive, 2016, "
            "doi:10.7937/K9/TCIA.2016.L4LTD3TK."
        ),
        stand_in="FLAIR",
    )
}
