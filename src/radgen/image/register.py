"""Register one scan to another (rigid or affine), by SimpleITK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import FitError, InputError
from radgen.image._interpolate import Interpolator
from radgen.image._sitk import to_sitk
from radgen.image.resample import resample_to
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["MetricKind", "Registration", "TransformKind", "register"]

TransformKind = Literal["translation", "rigid", "affine"]
MetricKind = Literal["mutual-information", "correlation"]
Gridded = TypeVar("Gridded", ImageVolume, Mask)


@dataclass(frozen=True, eq=False, slots=True)
class Registration:
    """A transform that carries a moving scan onto a fixed one.

    Attributes
    ----------
    matrix : ndarray of float64 (4, 4)
        Maps LPS millimetres of the fixed scan to LPS millimetres of the moving scan.
    fixed : Geometry
        The fixed grid.
    transform : {"translation", "rigid", "affine"}
        What kind of transform was sought.
    metric : float
        Value of the metric at the end, negated (lower is better).
    n_iterations : int
        Iterations at the finest level.
    stopped : str
        Why the optimiser ended, in its own words.
    """

    matrix: NDArray[np.float64]
    fixed: Geometry
    transform: TransformKind
    metric: float
    n_iterations: int
    stopped: str

    def apply(
        self,
        moving: Gridded,
        *,
        method: Interpolator | None = None,
        fill: float | None = float("nan"),
    ) -> Gridded:
        """Return the moving scan, or a mask drawn on it, on the fixed grid.

        Parameters
        ----------
        moving : ImageVolume or Mask
            In the space of the moving scan.
        method : str or None
            Interpolation; None is linear for images and nearest for masks.
        fill : float or None
            For images: value outside the moving scan; None repeats its outermost voxel.

        Returns
        -------
        ImageVolume or Mask
            On the fixed grid.
        """
        carried = np.linalg.solve(self.matrix, moving.geometry.affine)
        placed = replace(moving, geometry=Geometry(carried, moving.geometry.shape))
        return resample_to(placed, self.fixed, method=method, fill=fill)


def register(
    fixed: ImageVolume,
    moving: ImageVolume,
    *,
    transform: TransformKind = "rigid",
    metric: MetricKind = "mutual-information",
    fixed_mask: Mask | None = None,
    n_iterations: int = 200,
    n_bins: int = 50,
    sampling: float = 0.25,
    seed: int = 1,
) -> Registration:
    """Return the transform that carries one scan onto another.

    Parameters
    ----------
    fixed : ImageVolume (n_z, n_y, n_x)
        The scan that stays.
    moving : ImageVolume (n_z, n_y, n_x)
        The scan that is carried.
    transform : {"translation", "rigid", "affine"}
        An affine transform is refined from a rigid one.
    metric : {"mutual-information", "correlation"}
        "correlation" is sharper where both scans show the same contrast (a later scan by the
        same sequence); mutual information serves any two.
    fixed_mask : Mask or None
        Only voxels in here count.
    n_iterations : int
        Largest number of iterations a level.
    n_bins : int
        Bins of the joint histogram.
    sampling : float
        Share of voxels looked at, in (0, 1].
    seed : int
        Seed of the sampling.

    Returns
    -------
    Registration
        With ``apply`` for images and masks.

    Raises
    ------
    GeometryError
        If the mask is not on the fixed grid.
    InputError
        If a scan is a series or holds values that are not finite.
    FitError
        If the optimiser fails (scans that do not overlap, say).

    Notes
    -----
    Three levels (4, 2, 1), started from the centres of mass. It runs
    in one thread, so that the same input gives the same transform.

    References
    ----------
    Mattes et al. 2003, doi:10.1109/TMI.2003.809072 (mutual information).
    """
    require_choice(transform, get_args(TransformKind), what="transform")
    require_choice(metric, get_args(MetricKind), what="metric")
    for scan, name in ((fixed, "fixed"), (moving, "moving")):
        if scan.array.ndim != 3 or not np.isfinite(scan.array).all():
            raise InputError(f"The {name} scan must be a single volume with finite values.")
    if not 0 < sampling <= 1:
        raise InputError(f"sampling is a share in (0, 1], not {sampling}.")
    mask: Any = None
    if fixed_mask is not None:
        fixed_mask.require_on(fixed)
        mask = to_sitk(fixed_mask.array.astype(np.uint8), fixed_mask.geometry)
    scans = [to_sitk(scan.array.astype(np.float32), scan.geometry) for scan in (fixed, moving)]
    options: dict[str, Any] = {
        "n_iterations": n_iterations,
        "metric": metric,
        "n_bins": n_bins,
        "sampling": sampling,
        "seed": seed,
    }
    start: Any = None
    steps: list[TransformKind] = ["rigid", "affine"] if transform == "affine" else [transform]
    with _single_thread():
        for kind in steps:
            start = _initial(kind, scans, start)
            method = _optimise(scans, start, mask, options)
    return Registration(
        matrix=_matrix(start),
        fixed=fixed.geometry,
        transform=transform,
        metric=float(method.GetMetricValue()),
        n_iterations=int(method.GetOptimizerIteration()),
        stopped=str(method.GetOptimizerStopConditionDescription()),
    )


@contextmanager
def _single_thread() -> Iterator[None]:
    """Sums over voxels depend on the number of threads; one thread gives one result."""
    import SimpleITK as sitk

    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _initial(kind: TransformKind, scans: list[Any], before: Any) -> Any:
    import SimpleITK as sitk

    if kind == "affine":
        out = sitk.AffineTransform(3)
        out.SetMatrix(before.GetMatrix())
        out.SetTranslation(before.GetTranslation())
        out.SetCenter(before.GetCenter())
        return out
    moments = sitk.CenteredTransformInitializerFilter.MOMENTS
    rigid = sitk.Euler3DTransform(
        sitk.CenteredTransformInitializer(scans[0], scans[1], sitk.Euler3DTransform(), moments)
    )
    if kind == "rigid":
        return rigid
    return sitk.TranslationTransform(3, rigid.GetTranslation())


def _optimise(scans: list[Any], transform: Any, mask: Any, options: dict[str, Any]) -> Any:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    if options["metric"] == "correlation":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(options["n_bins"])
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(options["sampling"], options["seed"])
    if mask is not None:
        method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0,
        minStep=1e-4,
        numberOfIterations=options["n_iterations"],
        relaxationFactor=0.7,
        gradientMagnitudeTolerance=1e-7,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    smallest = min(min(scan.GetSize()) for scan in scans)
    levels = [factor for factor in (4, 2, 1) if smallest // factor >= 8 or factor == 1]
    method.SetShrinkFactorsPerLevel(levels)
    method.SetSmoothingSigmasPerLevel([factor / 2.0 if factor > 1 else 0.0 for factor in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(scans[0], scans[1])
    except RuntimeError as error:
        raise FitError(
            "Registration failed: the scans may not overlap, or the mask lies outside the "
            f"moving scan. SimpleITK says: {str(error).strip().splitlines()[-1]}"
        ) from error
    return method


def _matrix(transform: Any) -> NDArray[np.float64]:
    """Return the 4 x 4 matrix of a SimpleITK transform, from where it carries four points."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    out = np.eye(4)
    for axis, unit in enumerate(np.eye(3)):
        out[:3, axis] = np.array(transform.TransformPoint(unit.tolist())) - origin
    out[:3, 3] = origin
    return out
