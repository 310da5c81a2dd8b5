"""Size, shape and placement of a region (29 features, IBSI HCUG)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._autocorrelation import PairSums
from radgen.features._enclose import Hull, enclosing_ellipsoid, lattice_hull, oriented_box
from radgen.features._mesh import Mesh, mesh_of
from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View
from radgen.features.statistics import centre_and_spread

__all__ = ["morphology"]

_FLAT = "the region is flat in one direction"
_OFF = "the settings leave it out, or the region is flat"
_ONE = "all intensities are equal, there is one voxel, or the settings leave it out"

SPECS = (
    FeatureSpec("Volume (mesh)", "RNU0", "mm^3"),
    FeatureSpec("Volume (voxel counting)", "YEKZ", "mm^3"),
    FeatureSpec("Surface area (mesh)", "C0JK", "mm^2"),
    FeatureSpec("Surface to volume ratio", "2PR5", "1/mm"),
    FeatureSpec("Compactness 1", "SKGS"),
    FeatureSpec("Compactness 2", "BQWJ"),
    FeatureSpec("Spherical disproportion", "KRCK"),
    FeatureSpec("Sphericity", "QCFX"),
    FeatureSpec("Asphericity", "25C7"),
    FeatureSpec("Centre of mass shift", "KLMA", "mm", "the intensities add to 0"),
    FeatureSpec("Maximum 3D diameter", "L0JK", "mm"),
    FeatureSpec("Major axis length", "TDIC", "mm"),
    FeatureSpec("Minor axis length", "P9VJ", "mm"),
    FeatureSpec("Least axis length", "7J51", "mm"),
    FeatureSpec("Elongation", "Q3CK", "", "the region is one voxel"),
    FeatureSpec("Flatness", "N17B", "", "the region is one voxel"),
    FeatureSpec("Volume density (axis-aligned bounding box)", "PBX1"),
    FeatureSpec("Area density (axis-aligned bounding box)", "R59B"),
    FeatureSpec("Volume density (oriented minimum bounding box)", "ZH1A", "", _OFF),
    FeatureSpec("Area density (oriented minimum bounding box)", "IQYR", "", _OFF),
    FeatureSpec("Volume density (approximate enclosing ellipsoid)", "6BDE", "", _FLAT),
    FeatureSpec("Area density (approximate enclosing ellipsoid)", "RDD2", "", _FLAT),
    FeatureSpec("Volume density (minimum volume enclosing ellipsoid)", "SWZ1", "", _OFF),
    FeatureSpec("Area density (minimum volume enclosing ellipsoid)", "BRI8", "", _OFF),
    FeatureSpec("Volume density (convex hull)", "R3ER"),
    FeatureSpec("Area density (convex hull)", "7T7F"),
    FeatureSpec("Integrated intensity", "99N0", "({u}) mm^3"),
    FeatureSpec("Moran's I index", "N365", "", _ONE),
    FeatureSpec("Geary's C measure", "NPT7", "", _ONE),
)
_NAN = float("nan")


def _moments(
    mask: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return sums over a mask: 1, z, y, x, zz, zy, zx, yy, yx, xx; and of values x (1, z, y, x)."""
    whole, sums = np.zeros(10, np.int64), np.zeros(4)
    _image.mask_moments(mask.view(np.uint8), values, whole, sums)
    return whole, sums


def principal_axes(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the three axis lengths (largest first): four roots of the covariance's eigenvalues."""
    return _axes(_moments(mask, np.empty(0))[0], spacing)


def _axes(whole: NDArray[np.int64], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the axis lengths from the whole moments of a mask.

    Sums of products are whole numbers, and so is n times the covariance before its division.
    """
    n, *sums = (int(item) for item in whole)
    if n < 2:
        return np.zeros(3)
    first, products = sums[:3], sums[3:]
    covariance = np.empty((3, 3))
    for k, (i, j) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))):
        # Python's whole numbers do not overflow, so nothing cancels.
        exact = (n * products[k] - first[i] * first[j]) / (n * (n - 1))
        covariance[i, j] = covariance[j, i] = exact * spacing[i] * spacing[j]
    values = np.linalg.eigvalsh(covariance)[::-1]
    # Eigenvalues of a flat region are rounding noise around zero.
    values[values < 1e-12 * max(values[0], 1e-300)] = 0.0
    return np.asarray(4.0 * np.sqrt(values))


def ellipsoid_area(a: float, b: float, c: float) -> float:
    """Return the surface area of an ellipsoid of semi-axes a >= b >= c > 0.

    This is the standard's series of Legendre polynomials cut after 20 terms. Reference values
    contain its truncation error (4 % for axes 1 : 0.8 : 0.75), so it is kept.
    """
    alpha2, beta2 = 1.0 - (b / a) ** 2, 1.0 - (c / a) ** 2
    half, product = (alpha2 + beta2) / 2.0, alpha2 * beta2
    # term = (alpha beta)^v P_v(half / (alpha beta)) by the recurrence of the polynomials.
    last, term, total = 0.0, 1.0, 0.0
    for v in range(21):
        total += term / (1.0 - 4.0 * v * v)
        last, term = term, ((2 * v + 1) * half * term - v * product * last) / (v + 1)
    return 4.0 * np.pi * a * b * total


def _densities(volume: float, area: float, body: tuple[float, float]) -> tuple[float, float]:
    """Return volume and area density within a body of (volume, area)."""
    return (
        volume / body[0] if body[0] > 0 else _NAN,
        area / body[1] if body[1] > 0 else _NAN,
    )


def _ellipsoid(axes: NDArray[np.float64]) -> tuple[float, float]:
    a, b, c = axes
    if not c > 0:
        return 0.0, 0.0
    return 4.0 / 3.0 * np.pi * a * b * c, ellipsoid_area(a, b, c)


def _box(edges: NDArray[np.float64]) -> tuple[float, float]:
    a, b, c = edges
    return float(a * b * c), float(2.0 * (a * b + a * c + b * c))


def _pair_sums(view: View) -> PairSums | None:
    """Return the sums behind Moran's I and Geary's C; None where they are not defined."""
    if not view.settings.spatial_autocorrelation:
        return None

    def make() -> PairSums | None:
        values = view.values
        mean, square = centre_and_spread(view)
        n = values.size
        most = max(abs(float(values.min())), abs(float(values.max())))
        if n < 2 or square <= n * (np.spacing(most) * 4) ** 2:
            return None
        scale = float(np.sqrt(n / square))
        return PairSums(
            view.region.intensity, values, view.region.spacing_mm, centre=mean, scale=scale
        )

    return view.once("pair sums", make)


def _moran_geary(view: View) -> tuple[float, float]:
    found = _pair_sums(view)
    if found is None:
        return _NAN, _NAN
    pairs, products, squares = found.total()
    n = view.values.size
    return products / pairs, (n - 1) / n * (squares - products) / pairs


@dataclass(frozen=True, slots=True)
class _Bodies:
    """Surface of a region and what encloses it, bodies as (volume, area)."""

    mesh: Mesh
    hull: Hull
    box: tuple[float, float] = (0.0, 0.0)
    ellipsoid: tuple[float, float] = (0.0, 0.0)


def _bodies(view: View) -> _Bodies:
    def make() -> _Bodies:
        mesh = mesh_of(view.region.morphology, view.region.spacing_mm)
        hull = lattice_hull(mesh.places, mesh.half_mm)
        if not view.settings.enclosing_shapes:
            return _Bodies(mesh, hull)
        box, ellipsoid = oriented_box(hull), enclosing_ellipsoid(hull.points)
        return _Bodies(mesh, hull, _box(box), _ellipsoid(ellipsoid))

    return view.once("bodies", make)


def _parts(view: View) -> Iterator[Callable[[], object]]:
    """Yield what can be done ahead: the bodies, and shares of the sums over pairs."""
    yield lambda: _bodies(view)
    sums = _pair_sums(view)
    if sums is not None:
        yield from sums.parts()


def _intensity(
    view: View, volume: float, whole: NDArray[np.int64], mass: NDArray[np.float64]
) -> dict[str, float]:
    """Return what needs intensities, from moments of the region and of its intensities."""
    values, spacing = view.values, np.array(view.region.spacing_mm)
    shift = _NAN
    if float(values.sum()) and float(mass[0]):
        gap = (whole[1:4] / whole[0] - mass[1:] / mass[0]) * spacing
        shift = float(np.linalg.norm(gap))
    moran, geary = _moran_geary(view)
    return {
        "Centre of mass shift": shift,
        "Integrated intensity": float(values.mean()) * volume,
        "Moran's I index": moran,
        "Geary's C measure": geary,
    }


@add("morphology", version=3, specs=SPECS, ibsi_code="HCUG", images="original", parts=_parts)
def morphology(view: View) -> Measured:
    """Return the 29 features of the shape of a region.

    Parameters
    ----------
    view : View
        Image and region.

    Returns
    -------
    mapping
        Values under the aggregation "".

    Notes
    -----
    Volume, area, hull and diameter are those of the marching-cubes mesh at level 0.5. The
    oriented bounding box is the smallest with a face on a facet of the hull. The surface of
    ellipsoids follows the standard's series of 20 terms. Moran's I and Geary's C sum over all
    pairs of voxels, weighted by the inverse of their distance.

    References
    ----------
    IBSI reference manual, section 3.1 (HCUG).
    """
    region = view.region
    bodies_of = _bodies(view)
    mesh, hull = bodies_of.mesh, bodies_of.hull
    volume, area = mesh.volume_mm3, mesh.area_mm2
    spacing = np.array(region.spacing_mm)
    ball = 36.0 * np.pi * volume**2
    whole, mass = _moments(region.intensity, view.values)
    if region.intensity is not region.morphology:
        whole, _ = _moments(region.morphology, np.empty(0))
    axes = _axes(whole, spacing)
    box = np.array(region.shape) * spacing
    found = {
        "Volume (mesh)": volume,
        "Volume (voxel counting)": float(whole[0] * np.prod(spacing)),
        "Surface area (mesh)": area,
        "Surface to volume ratio": area / volume,
        "Compactness 1": volume / (np.sqrt(np.pi) * area**1.5),
        "Compactness 2": ball / area**3,
        "Spherical disproportion": area / np.cbrt(ball),
        "Sphericity": np.cbrt(ball) / area,
        "Asphericity": np.cbrt(area**3 / ball) - 1.0,
        "Maximum 3D diameter": hull.diameter,
        "Major axis length": axes[0],
        "Minor axis length": axes[1],
        "Least axis length": axes[2],
        "Elongation": axes[1] / axes[0] if axes[0] > 0 else _NAN,
        "Flatness": axes[2] / axes[0] if axes[0] > 0 else _NAN,
    }
    bodies = {
        "axis-aligned bounding box": _box(box),
        "oriented minimum bounding box": bodies_of.box,
        "approximate enclosing ellipsoid": _ellipsoid(axes / 2.0),
        "minimum volume enclosing ellipsoid": bodies_of.ellipsoid,
        "convex hull": (hull.volume, hull.area),
    }
    for name, body in bodies.items():
        dense = _densities(volume, area, body)
        found[f"Volume density ({name})"], found[f"Area density ({name})"] = dense
    found |= _intensity(view, volume, whole, mass)
    return {"": {spec.name: float(found[spec.name]) for spec in SPECS}}
