"""Read a subject's volumes and refuse what cannot be right; store prepared volumes."""

import gzip
import zlib
from itertools import product
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import inv_ornt_aff
from nibabel.spatialimages import SpatialImage

from data_scripts.archives.layout import Layout, SubjectFiles
from data_scripts.archives.stacks import read_stack, slices_of

# headers are float32 and tools round: voxels that lie this near, in parts of a voxel's smallest side, are the same
PLACE_TOLERANCE = 0.1
# tools store whole labels as scaled integers or floats: a value this near to a whole number is that number
_WHOLE_TOLERANCE = 1e-2
# sums of squares must stay within float32, and within float64 over all voxels
_LARGEST = 1e18


class SubjectError(ValueError):
    """A subject whose files are missing, damaged or at odds with each other."""


class UnknownLabelError(SubjectError):
    """A subject whose labels hold values that the layout does not know: damage, or another release of the data.

    Args:
        values: these values.
        layout: which does not know them.
    """

    def __init__(self, values: tuple[int, ...], layout: Layout) -> None:
        allowed = ", ".join(str(value) for value in layout.label_table)
        super().__init__(f"unknown label value {values[0]} ({len(values)} unknown); known are {allowed}")
        self.values = values


def files_of(path: Path) -> list[Path]:
    """Return the files that hold a volume: an Analyze header comes with its voxels, a stack has one per slice."""
    if "*" in path.name:
        return slices_of(path) or [path]
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
        voxels to mm. Axes run as near to the right, the front and the top as the affine lets them.

    Raises:
        SubjectError: if a file is missing, truncated or unreadable, or a link that leads out of the archive; a header
            tells no orientation where the layout needs one; volumes differ in shape, or lie ``PLACE_TOLERANCE`` of a
            voxel or more apart; an image holds colours, NaN, infinity or nothing but one value; or a label value is
            unknown or not whole.
    """
    check_files(files)
    volumes = {name: _read_volume(path, layout.orientation_in_header) for name, path in _single(files).items()}
    for path in dict.fromkeys(files.images[name] for name in files.channels):
        volumes = _read_channels(path, files, layout.orientation_in_header) | volumes
    reference, (first, affine) = next(iter(volumes.items()))
    for name, (voxels, other) in volumes.items():
        if voxels.shape != first.shape:
            raise SubjectError(f"wrong shape: {name} has {voxels.shape}, {reference} has {first.shape}; all must agree")
        distance, limit = _distance(other, affine, first.shape), PLACE_TOLERANCE * voxel_sizes(affine).min()
        if distance >= limit:
            raise SubjectError(
                f"affine of {name} differs from that of {reference}: corners of the volumes lie {distance:.3g} mm "
                f"apart, and less than {limit:.3g} mm is allowed"
            )
    _refuse_stand_ins(volumes, layout)
    images = np.stack([_checked_image(name, volumes[name][0]) for name in layout.modalities])
    return images, _checked_labels(volumes["label"][0], layout), affine


def _refuse_stand_ins(volumes: dict[str, tuple[np.ndarray, np.ndarray]], layout: Layout) -> None:
    """Raise SubjectError if a sequence is the copy of another that stands for one the patient lacks."""
    for name in layout.modalities if layout.stand_in else ():
        if name != layout.stand_in and np.array_equal(volumes[name][0], volumes[layout.stand_in][0]):
            raise SubjectError(f"missing modality {name}: a copy of {layout.stand_in} stands in for it")


def _distance(affine: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far apart, in mm, two affines put the corners of a volume at most."""
    corners = np.array([[*corner, 1] for corner in product(*((0, length - 1) for length in shape))])
    return float(np.linalg.norm(corners @ (affine - other).T, axis=1).max())


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
    """Read a file of any number of axes and the affine of its first three, turned as near to RAS as it goes."""
    if "*" in path.name:
        # pictures tell neither voxel size nor orientation
        return _read_pictures(path), np.eye(4)
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
    if not np.issubdtype(voxels.dtype, np.integer) and not np.issubdtype(voxels.dtype, np.floating):
        held = "colours" if voxels.dtype.names else str(voxels.dtype)
        raise SubjectError(f"{path.name} holds {held}; one number per voxel is needed")
    if voxels.ndim < 3:
        raise SubjectError(f"wrong shape: {path.name} has {voxels.shape}; three axes are needed")
    zooms = [_unit(image) * float(zoom) for zoom in image.header.get_zooms()[:3]]
    if not all(0 < zoom < np.inf for zoom in zooms):
        raise SubjectError(f"voxel size {zooms} of {path.name} is not positive")
    if not orientation_in_header:
        return voxels, np.diag([*zooms, 1.0])
    affine = _checked_affine(path, image)
    turn = nibabel.io_orientation(affine)
    return nibabel.apply_orientation(voxels, turn), affine @ inv_ornt_aff(turn, voxels.shape[:3])


def _read_pictures(path: Path) -> np.ndarray:
    try:
        return read_stack(files_of(path))
    except (OSError, ValueError) as error:
        raise SubjectError(f"{path.name}: {str(error).replace(f'{path.parent}/', '')}") from error


def _checked_affine(path: Path, image: SpatialImage) -> np.ndarray:
    """Return the affine of a file; SubjectError if the header does not give it, or what it gives is none."""
    header = image.header
    codes = (
        [int(header[name]) for name in ("qform_code", "sform_code")] if isinstance(header, nibabel.Nifti1Header) else []
    )
    if isinstance(header, nibabel.AnalyzeHeader) and not any(codes):
        why = "both orientation codes of its header are 0" if codes else "a header of Analyze has no place for it"
        raise SubjectError(
            f"orientation of {path.name} is unknown, and left and right with it: {why}; write it into the file, or, if "
            "the axes of all files run to the right, the front and the top, describe them with "
            "orientation_in_header: false"
        )
    affine = np.diag([*[_unit(image)] * 3, 1.0]) @ np.asarray(image.affine)
    if not np.isfinite(affine).all():
        raise SubjectError(f"affine of {path.name} holds NaN or infinity")
    if not voxel_sizes(affine).all() or np.isclose(np.linalg.det(affine[:3, :3] / voxel_sizes(affine)), 0, atol=1e-3):
        raise SubjectError(f"affine of {path.name} makes a volume of no thickness: {affine[:3].round(3).tolist()}")
    if isinstance(header, nibabel.Nifti1Header) and all(codes):
        sides = [np.linalg.det(each()[:3, :3]) for each in (header.get_qform, header.get_sform)]
        if sides[0] * sides[1] < 0:
            raise SubjectError(f"sform and qform of {path.name} disagree on left and right; mend the header")
    return affine


def _unit(image: SpatialImage) -> float:
    """Return the millimetres of a header's unit of length; one that is not told is a millimetre."""
    header = image.header
    unit = header.get_xyzt_units()[0] if isinstance(header, nibabel.Nifti1Header) else "mm"
    return {"meter": 1000.0, "micron": 0.001}.get(unit, 1.0)


def _checked_image(name: str, voxels: np.ndarray) -> np.ndarray:
    """Return an image as float32."""
    bad = int(np.count_nonzero(~np.isfinite(voxels)))
    if bad:
        raise SubjectError(f"{name} has {bad} voxels that are NaN or infinite")
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        raise SubjectError(f"{name} is {'zero' if low == 0 else format(low, 'g')} everywhere")
    if max(-low, high) > _LARGEST:
        raise SubjectError(f"{name} holds values of up to {max(-low, high):.3g}, beyond {_LARGEST:.3g}")
    return voxels.astype(np.float32)


def _checked_labels(voxels: np.ndarray, layout: Layout) -> np.ndarray:
    """Return labels as uint8: whole numbers that the layout knows."""
    values = np.unique(voxels)
    if not np.isfinite(values).all():
        raise SubjectError("label has voxels that are NaN or infinite")
    whole = np.rint(values)
    odd = values[np.abs(values - whole) > _WHOLE_TOLERANCE]
    if odd.size:
        raise SubjectError(f"label value {odd[0].item()!r} is not whole ({odd.size} such values)")
    unknown = sorted({int(value) for value in whole} - set(layout.label_table))
    if unknown:
        raise UnknownLabelError(tuple(unknown), layout)
    return np.rint(voxels).astype(np.uint8)
