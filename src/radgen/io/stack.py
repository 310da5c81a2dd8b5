"""Read the images of many people, point by point, and write maps back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.files import atomic_path
from radgen._core.progress import progress
from radgen.errors import FormatError, GeometryError, InputError, shown
from radgen.io._guard import BROKEN, existing, inflate
from radgen.io.images import read_image, write_image
from radgen.io.sample_table import read_sample_table
from radgen.types import Geometry, ImageStack, Mask, SurfaceSpace, VoxelSpace

__all__ = ["read_stack", "read_surface", "write_map"]

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr")
_SURFACES = (".gii", ".mgh", ".mgz")
_PATHS = ("path", "image", "file", "image_path", "filename")
_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False, slots=True)
class _Source:
    """Flat maps of all people, one after the other.

    `maps` yields arrays (n_all,); `geometry` is None for surfaces.
    """

    samples: tuple[str, ...]
    n_all: int
    geometry: Geometry | None
    maps: Callable[[], Iterator[NDArray[Any]]]


def read_stack(
    images: str | Path | Mapping[str, str | Path],
    *,
    samples: Sequence[str] | None = None,
    mask: str | Path | Mask | NDArray[Any] | None = None,
    surface: str | Path | None = None,
    coverage: float = 1.0,
    store: str | Path | None = None,
) -> ImageStack:
    """Return the images of many people as one table of points.

    Parameters
    ----------
    images : str, Path or mapping of str to path
        One of: a table with an id column and a column ``path`` (relative paths start at the
        table); a folder of images named by id; one file that holds all people along its last
        axis (4D NIfTI, GIFTI with an array each, MGH with a frame each), which needs
        `samples`; or paths by id. Images are NIfTI, NRRD or MetaImage volumes on one grid, or
        GIFTI (``.gii``) or FreeSurfer (``.mgh``, ``.mgz``) data of one surface.
    samples : sequence of str or None
        Ids of the people of one file, in its order.
    mask : path, Mask, array or None
        Points in use: an image (not 0) on the same grid, or surface data. None = all points
        with values in enough people that are not all the same.
    surface : str, Path or None
        Mesh of surface data (``.surf.gii`` or a FreeSurfer surface such as ``lh.white``), for
        areas, positions and clusters.
    coverage : float, default 1
        Least share of people with a finite value; other points are left out and counted.
    store : str, Path or None
        File that holds the values on disk where they do not fit into memory; None = memory.

    Returns
    -------
    ImageStack

    Raises
    ------
    FormatError
        If a file is broken or of an unknown format.
    GeometryError
        If two images, or an image and the mask, lie on different grids.
    InputError
        If people are not named, or no point is left.

    Notes
    -----
    Images must lie on a common grid already (registered, resampled): points are compared by
    their place on it. Without a mask the files are read twice.
    """
    if not 0 < coverage <= 1:
        raise InputError(f"coverage is {coverage}; needed is a share in (0, 1].")
    source = _source(images, samples)
    index = _mask_index(mask, source)
    if index is None:
        index = _usable(source)
    values = _filled(source, index, store)
    keep, notes = _kept(values, coverage)
    if not keep.any():
        raise InputError("No point is left: " + "; ".join(notes))
    values = _compact(values, keep, store)
    space = _space(source, index[keep], surface)
    return ImageStack(source.samples, values, space, notes)


def write_map(
    values: NDArray[Any],
    space: VoxelSpace | SurfaceSpace,
    path: str | Path,
    *,
    outside: float = 0.0,
) -> None:
    """Write values of points as NIfTI (``.nii.gz``) or GIFTI (``.func.gii``).

    Parameters
    ----------
    values : ndarray of float (n_points,)
        NaN where undefined.
    space : VoxelSpace or SurfaceSpace
        Where the points lie.
    path : str or Path
        ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha`` for voxels, ``.gii`` for vertices.
    outside : float, default 0
        Value of points that are not in use.

    Raises
    ------
    InputError
        If the sizes disagree or the suffix does not fit.
    """
    where = Path(path)
    if np.shape(values) != (space.n_points,):
        raise InputError(f"The map has shape {np.shape(values)} for {space.n_points} points.")
    if isinstance(space, VoxelSpace):
        write_image(space.volume(np.asarray(values, np.float32), outside=outside), where)
        return
    if where.suffix != ".gii":
        raise InputError(f"{where.name}: maps on a surface are written as .gii.")
    import nibabel

    whole = np.full(space.n_vertices, outside, np.float32)
    whole[space.index] = values
    array = nibabel.gifti.GiftiDataArray(
        whole, intent="NIFTI_INTENT_NONE", datatype="NIFTI_TYPE_FLOAT32"
    )
    with atomic_path(where) as temporary:
        nibabel.save(nibabel.gifti.GiftiImage(darrays=[array]), temporary)


def _source(
    images: str | Path | Mapping[str, str | Path], samples: Sequence[str] | None
) -> _Source:
    if isinstance(images, Mapping):
        return _files({str(name): Path(path) for name, path in images.items()})
    where = existing(images, what="images", folder=True)
    if where.is_dir():
        found = {_stem(path): path for path in sorted(where.iterdir()) if _suffix(path)}
        if not found:
            raise InputError(f"{where} holds no image ({', '.join((*_VOLUMES, *_SURFACES))}).")
        return _files(found)
    if _suffix(where):
        return _one_file(where, samples)
    table = read_sample_table(where)
    column = next((name for name in _PATHS if name in table.columns), None)
    if column is None:
        raise InputError(f"{where} has no column of paths; needed is one of {shown(_PATHS, 9)}.")
    key = "sample" if "sample" in table.columns else table.columns[0]
    paths = [where.parent / str(item) for item in table[column]]
    names = [str(name) for name in table[key]]
    if len(set(names)) < len(names):
        raise InputError(f"{where}: people stand twice in the table of images.")
    return _files(dict(zip(names, paths, strict=True)))


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return next((end for end in (*_VOLUMES, *_SURFACES) if name.endswith(end)), "")


def _stem(path: Path) -> str:
    name = path.name[: len(path.name) - len(_suffix(path))]
    for end in (".func", ".shape"):
        name = name.removesuffix(end)
    return name


def _files(paths: Mapping[str, Path]) -> _Source:
    if len(paths) < 2:
        raise InputError(f"Images of at least two people are needed; found {len(paths)}.")
    names = tuple(paths)
    first = _read(existing(paths[names[0]], what="image"))
    geometry = first[1]

    def maps() -> Iterator[NDArray[Any]]:
        with progress("Reading images", len(names)) as tick:
            for name in names:
                values, grid = _read(existing(paths[name], what="image"))
                if (grid is None) != (geometry is None) or len(values) != len(first[0]):
                    raise GeometryError(
                        f"{paths[name]} has {len(values)} points, {paths[names[0]]} "
                        f"{len(first[0])}: register the images to one grid first.",
                        left=geometry, right=grid,
                    )  # fmt: skip
                if grid is not None and geometry is not None:
                    geometry.require_same(grid, what=f"{paths[names[0]].name} and {paths[name]}")
                yield values
                tick(1)

    return _Source(names, len(first[0]), geometry, maps)


def _read(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    """Return the flat map of one file, and its grid (None for a surface)."""
    if _suffix(path) in _SURFACES:
        frames = _surface_frames(path)
        if len(frames) != 1:
            raise FormatError(f"One map is needed; the file holds {len(frames)}.", path=path)
        return frames[0], None
    volume = read_image(path)
    if volume.array.ndim != 3:
        raise FormatError(f"One volume is needed; found {volume.array.shape}.", path=path)
    return volume.array.ravel(), volume.geometry


def _surface_frames(path: Path) -> list[NDArray[Any]]:
    """Return the maps (n_vertices,) of a GIFTI or MGH file."""
    import nibabel

    try:
        if path.suffix.lower() == ".gii":
            image: Any = nibabel.load(path)
            return [np.asarray(item.data, np.float32).ravel() for item in image.darrays]
        content = inflate(path, what="surface data")
        data = np.asarray(nibabel.MGHImage.from_bytes(content).dataobj, np.float32)
    except BROKEN as error:
        raise FormatError(
            f"The surface file is broken or cut off ({type(error).__name__}).", path=path
        ) from error
    if data.ndim > 2 and min(data.shape[1:3]) > 1:
        raise FormatError("An MGH volume is no surface: convert it to NIfTI.", path=path)
    flat = data.reshape(data.shape[0], -1)
    return [np.ascontiguousarray(flat[:, frame]) for frame in range(flat.shape[1])]


def _one_file(path: Path, samples: Sequence[str] | None) -> _Source:
    if _suffix(path) in _SURFACES:
        frames = _surface_frames(path)
        return _Source(
            _named(samples, len(frames), path), len(frames[0]), None, lambda: iter(frames)
        )
    import nibabel

    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"{path.name}: one file with all people is NIfTI, GIFTI or MGH.")
    try:
        image: Any = nibabel.load(path, keep_file_open=True)
        shape = tuple(int(size) for size in image.shape)
    except BROKEN as error:
        raise FormatError(
            f"The NIfTI file is broken ({type(error).__name__}).", path=path
        ) from error
    if len(shape) != 4 or shape[3] < 2:
        raise FormatError(
            f"The file has shape {shape}; people lie along the fourth axis. Name a folder or a "
            "table for one file a person.",
            path=path,
        )
    flip = np.diag([*_LPS, 1.0])
    geometry = Geometry(flip @ np.asarray(image.affine, np.float64), (shape[2], shape[1], shape[0]))

    def maps() -> Iterator[NDArray[Any]]:
        with progress("Reading images", shape[3]) as tick:
            for frame in range(shape[3]):
                try:
                    values = np.asarray(image.dataobj[..., frame], np.float32)
                except BROKEN as error:
                    raise FormatError(
                        f"Image {frame + 1} of the file cannot be read "
                        f"({type(error).__name__}): it is cut off.",
                        path=path,
                    ) from error
                yield values.T.ravel()
                tick(1)

    return _Source(_named(samples, shape[3], path), int(np.prod(shape[:3])), geometry, maps)


def _named(samples: Sequence[str] | None, count: int, path: Path) -> tuple[str, ...]:
    if samples is None or len(samples) != count:
        found = "none" if samples is None else str(len(samples))
        raise InputError(
            f"{path.name} holds {count} images and {found} ids were given: name the people in the "
            "order of the file. They are never matched by position alone."
        )
    return tuple(str(name) for name in samples)


def _mask_index(
    mask: str | Path | Mask | NDArray[Any] | None, source: _Source
) -> NDArray[np.int64] | None:
    if mask is None:
        return None
    if isinstance(mask, Mask):
        flat: NDArray[Any] = mask.array.ravel()
        grid: Geometry | None = mask.geometry
    elif isinstance(mask, np.ndarray):
        flat, grid = mask.ravel(), source.geometry
    else:
        flat, grid = _read(existing(mask, what="mask"))
    if source.geometry is not None and grid is not None:
        source.geometry.require_same(grid, what="The mask does not lie on the grid of the images")
    if len(flat) != source.n_all:
        raise GeometryError(
            f"The mask has {len(flat)} points, the images {source.n_all}.", left=grid,
            right=source.geometry,
        )  # fmt: skip
    index = np.flatnonzero(np.nan_to_num(np.asarray(flat, np.float64)))
    if not len(index):
        raise InputError("The mask is empty.")
    return index


def _usable(source: _Source) -> NDArray[np.int64]:
    """Return the points that are finite and not the same in all people."""
    low = np.full(source.n_all, np.inf, np.float32)
    high = np.full(source.n_all, -np.inf, np.float32)
    for values in source.maps():
        np.fmin(low, values, out=low, casting="same_kind")
        np.fmax(high, values, out=high, casting="same_kind")
    index = np.flatnonzero(high > low)
    if not len(index):
        raise InputError("No point differs between people: are these the right images?")
    return index


def _filled(
    source: _Source, index: NDArray[np.int64], store: str | Path | None
) -> NDArray[np.float32]:
    shape = (len(source.samples), len(index))
    values: NDArray[np.float32]
    if store is None:
        values = np.empty(shape, np.float32)
    else:
        Path(store).parent.mkdir(parents=True, exist_ok=True)
        values = np.memmap(store, np.float32, "w+", shape=shape)
    for row, item in enumerate(source.maps()):
        values[row] = item[index]
    return values


def _kept(
    values: NDArray[np.float32], coverage: float
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    n, k = values.shape
    known = np.zeros(k, np.int64)
    low, high = np.full(k, np.inf, np.float32), np.full(k, -np.inf, np.float32)
    for row in range(n):
        finite = np.isfinite(values[row])
        if not finite.all():
            values[row, ~finite] = np.nan
        known += finite
        np.fmin(low, values[row], out=low)
        np.fmax(high, values[row], out=high)
    covered = known >= coverage * n - 1e-9
    varies = high > low
    notes = []
    if not covered.all():
        notes.append(
            f"{int((~covered).sum()):,} points were left out: fewer than {100 * coverage:g} % of "
            "the people have a value there."
        )
    if not (varies | ~covered).all():
        notes.append(
            f"{int((covered & ~varies).sum()):,} points were left out: all people have the same "
            "value there."
        )
    return covered & varies, tuple(notes)


def _compact(
    values: NDArray[np.float32], keep: NDArray[np.bool_], store: str | Path | None
) -> NDArray[np.float32]:
    """Return the kept columns, moved within the same memory or file, sealed."""
    n, k = len(values), int(keep.sum())
    if not keep.all():
        flat = values.reshape(-1)
        for row in range(n):
            flat[row * k : (row + 1) * k] = values[row, keep]
    if isinstance(values, np.memmap) and store is not None:
        values.flush()
        return np.memmap(store, np.float32, "r", shape=(n, k))
    if not keep.all():
        values.resize((n, k), refcheck=False)
    values.setflags(write=False)
    return values


def _space(
    source: _Source, index: NDArray[np.int64], surface: str | Path | None
) -> VoxelSpace | SurfaceSpace:
    if source.geometry is not None:
        if surface is not None:
            raise InputError("A surface goes with surface data; these are volumes.")
        return VoxelSpace(source.geometry, index)
    if surface is None:
        return SurfaceSpace(source.n_all, index)
    return SurfaceSpace(source.n_all, index, *read_surface(surface))


def read_surface(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices (LPS millimetres) and triangles of a mesh.

    Parameters
    ----------
    path : str or Path
        GIFTI (``.surf.gii``) or a FreeSurfer surface (``lh.white``).

    Raises
    ------
    FormatError
        If the file is no mesh.
    """
    file = existing(path, what="surface")
    import nibabel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if file.suffix == ".gii":
                mesh: Any = nibabel.load(file)
                vertices = mesh.agg_data("NIFTI_INTENT_POINTSET")
                faces = mesh.agg_data("NIFTI_INTENT_TRIANGLE")
            else:
                vertices, faces = nibabel.freesurfer.read_geometry(file)
        return np.asarray(vertices, np.float64) * _LPS, np.asarray(faces, np.int64)
    except BROKEN as error:
        raise FormatError(
            f"The surface cannot be read ({type(error).__name__}); needed is a .surf.gii or a "
            "FreeSurfer surface.",
            path=file,
        ) from error
