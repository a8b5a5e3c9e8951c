"""Read a subject's volumes and refuse what cannot be right; store prepared volumes."""

import gzip
import zlib
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from data_scripts.archives.layout import Layout, SubjectFiles

# headers are float32 and tools round: positions within a hundredth of a mm are the same
AFFINE_TOLERANCE_MM = 1e-2


class SubjectError(ValueError):
    """A subject whose files are missing, damaged or at odds with each other."""


def files_of(path: Path) -> list[Path]:
    """Return the files that hold a volume: an Analyze header comes with its voxels."""
    return [path, path.with_suffix(".img")] if path.suffix == ".hdr" else [path]


def check_files(files: SubjectFiles) -> None:
    """Raise SubjectError if a file of a subject is missing, or is a link that leads out of the archive."""
    root = files.archive.resolve()
    for name, path in {**files.images, "label": files.label}.items():
        kind = "label" if name == "label" else f"modality {name}"
        outside = [each.name for each in files_of(path) if not each.resolve().is_relative_to(root)]
        if outside:
            raise SubjectError(f"{' and '.join(outside)} of {kind} is a link that leads out of the archive's folder")
        absent = [each.name for each in files_of(path) if not each.is_file()]
        if absent:
            raise SubjectError(f"missing {kind}: no {' and no '.join(absent)}")


def read_subject(files: SubjectFiles, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read and check one subject.

    Returns:
        Images float32 [C, X, Y, Z] in the order of the layout's modalities, labels uint8 [X, Y, Z], and the affine from
        voxels to mm.

    Raises:
        SubjectError: if a file is missing, truncated or unreadable, or a link that leads out of the archive; a shape or
            an affine differs within the subject; an image holds NaN or infinity, or nothing but zeros; or a label value
            is unknown.
    """
    check_files(files)
    volumes = {name: _read_volume(path, layout.orientation_in_header) for name, path in _single(files).items()}
    for path in dict.fromkeys(files.images[name] for name in files.channels):
        volumes = _read_channels(path, files, layout.orientation_in_header) | volumes
    reference, (first, affine) = next(iter(volumes.items()))
    for name, (voxels, other) in volumes.items():
        if voxels.shape != first.shape:
            raise SubjectError(f"wrong shape: {name} has {voxels.shape}, {reference} has {first.shape}; all must agree")
        if not np.allclose(other, affine, atol=AFFINE_TOLERANCE_MM):
            raise SubjectError(f"affine of {name} differs from that of {reference}")
    for name in files.images:
        _check_image(name, volumes[name][0])
    images = np.stack([volumes[name][0] for name in layout.modalities]).astype(np.float32)
    return images, _checked_labels(volumes["label"][0], layout), affine


def save_volume(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    """Store integer voxels as they are, and float voxels as int16 with a power of two as the step.

    Zero stays exactly zero, the largest value keeps 14 bits or more, and equal voxels make equal files.
    """
    step = None
    if np.issubdtype(voxels.dtype, np.floating):
        step = 2.0 ** np.ceil(np.log2(np.abs(voxels).max() / 32767))
        voxels = np.rint(voxels / step).astype(np.int16)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_slope_inter(step, 0 if step else None)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


def _single(files: SubjectFiles) -> dict[str, Path]:
    """Return the files that hold one volume each."""
    return {name: path for name, path in files.images.items() if name not in files.channels} | {"label": files.label}


def _read_volume(path: Path, orientation_in_header: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read a 3-D volume (trailing axes of length 1 are dropped) and its affine."""
    voxels, affine = _read_file(path, orientation_in_header)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise SubjectError(f"wrong shape: {path.name} has {voxels.shape}; three axes are needed")
    return voxels, affine


def _read_channels(
    path: Path, files: SubjectFiles, orientation_in_header: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read a 4-D file once and return the volume and the affine of each modality in it."""
    voxels, affine = _read_file(path, orientation_in_header)
    if voxels.ndim != 4 or voxels.shape[3] != len(files.channels):
        raise SubjectError(
            f"wrong shape: {path.name} has {voxels.shape}; four axes are needed, the last with "
            f"{len(files.channels)} channels ({', '.join(files.channels)})"
        )
    return {name: (voxels[..., channel], affine) for name, channel in files.channels.items()}


def _read_file(path: Path, orientation_in_header: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of any number of axes, and the affine of its first three."""
    try:
        if path.name.endswith(".gz"):
            # decompressing the whole file checks its length and checksum, which reading the voxels alone does not
            image: SpatialImage = nibabel.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
        else:
            image = cast(SpatialImage, nibabel.load(path))
        voxels = np.asanyarray(image.dataobj)
    except (EOFError, OSError, ValueError, zlib.error, ImageFileError) as error:
        # the reason goes into the manifest: one line, without this machine's folders
        reason = " ".join(str(error).replace(f"{path.parent}/", "").split())
        raise SubjectError(f"truncated or unreadable file {path.name}: {reason}") from error
    zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    if not all(zoom > 0 for zoom in zooms):
        raise SubjectError(f"voxel size {zooms} of {path.name} is not positive")
    return voxels, image.affine if orientation_in_header else np.diag([*zooms, 1.0])


def _check_image(name: str, voxels: np.ndarray) -> None:
    bad = int(np.count_nonzero(~np.isfinite(voxels)))
    if bad:
        raise SubjectError(f"{name} has {bad} voxels that are NaN or infinite")
    if not voxels.any():
        raise SubjectError(f"{name} is zero everywhere")


def _checked_labels(voxels: np.ndarray, layout: Layout) -> np.ndarray:
    unknown = sorted(set(np.unique(voxels).tolist()) - set(layout.label_table))
    if unknown:
        allowed = ", ".join(str(value) for value in layout.label_table)
        raise SubjectError(f"unknown label value {unknown[0]:g} ({len(unknown)} unknown); known are {allowed}")
    return voxels.astype(np.uint8)
