"""From biopsy coordinates and images to held-out predictions and a model that paints maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone

from radgen._core.naming import require_choice
from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.features.local import LOCAL_SETTINGS, Shape, points_to_lps
from radgen.features.local_files import PointUnit, measure_points
from radgen.features.settings import ExtractionSettings
from radgen.io.biopsies import CoregisteredImages
from radgen.io.images import read_image
from radgen.io.states import code_states
from radgen.io.tables import to_numbers
from radgen.predict.regional.gaussian import GaussianProcess
from radgen.predict.regional.result import BiopsyResult
from radgen.predict.regional.scores import (
    held_out,
    permuted_within,
    scheme_row,
    scheme_table,
    within_patient_auc,
)
from radgen.types import Geometry, align

__all__ = ["LocalModel", "LocalSettings", "biopsies", "fit_local_model", "measure_biopsies"]

FloatArray = NDArray[np.float64]
_FEWEST_PATIENTS = 3
_ANY = Geometry.from_spacing((1, 1, 1))


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How the surroundings of a place are measured, at biopsies and on maps alike.

    Attributes
    ----------
    radius_mm : float
        Of the sphere, half the edge of the box; a biopsy's own radius goes before it.
    shape : {"sphere", "box"}
        Of the surroundings.
    inside : bool
        Whether only voxels of the mask count.
    zscore : bool
        Whether each image is brought to mean 0 and standard deviation 1 within its mask first, as
        intensities of MRI without units need it.
    features : ExtractionSettings
        What is measured.
    """

    radius_mm: float = 5.0
    shape: Shape = "sphere"
    inside: bool = False
    zscore: bool = False
    features: ExtractionSettings = field(default=LOCAL_SETTINGS)

    def unit(
        self, scan: CoregisteredImages, centres_mm: FloatArray, radius_mm: FloatArray
    ) -> PointUnit:
        """Return the unit of work of some points of a sample.

        Raises
        ------
        InputError
            If a mask is needed and the sample has none.
        """
        if (self.inside or self.zscore) and not scan.mask:
            raise InputError(
                f"Sample {scan.sample!r} has no mask, which is needed to stay inside it or to "
                "standardise intensities. Add a column mask to the table of images."
            )
        return PointUnit(
            scan.images, scan.mask, centres_mm, radius_mm, self.shape, self.inside, self.zscore,
            self.features.to_mapping(),
        )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class LocalModel:
    """A model of all biopsies, to paint maps with.

    Attributes
    ----------
    process : GaussianProcess
        Fitted.
    names : tuple of str
        Local features, in its order.
    images : tuple of str
        Names of the images they come from.
    settings : LocalSettings
        How places are measured.
    label : str
        What is predicted.
    confidence : float
        From which probability of its side a place is certain.
    """

    process: GaussianProcess
    names: tuple[str, ...]
    images: tuple[str, ...]
    settings: LocalSettings
    label: str
    confidence: float


def measure_biopsies(
    table: pl.DataFrame,
    scans: Mapping[str, CoregisteredImages],
    *,
    settings: LocalSettings,
    executor: Executor | None = None,
) -> tuple[pl.DataFrame, FloatArray, tuple[str, ...], pl.DataFrame]:
    """Return biopsies that could be measured, their local features, and who was left out.

    Parameters
    ----------
    table : polars.DataFrame
        As `radgen.io.read_biopsies` returns it.
    scans : mapping of str to CoregisteredImages
        As `radgen.io.read_coregistered` returns it.
    settings : LocalSettings
        What is measured.
    executor : concurrent.futures.Executor or None
        Where samples are measured; None = this process.

    Returns
    -------
    kept : polars.DataFrame
        Rows of the table, with ``x_mm, y_mm, z_mm`` in LPS.
    values : float64 (n_kept, p)
        Local features.
    names : tuple of str (p,)
        Their names.
    dropped : polars.DataFrame
        ``sample, reason``: biopsies without values, by row, id and remedy.

    Raises
    ------
    AlignmentError
        If no sample of the table has images.
    """
    rows = table.with_row_index("row", offset=1)
    matched = align({"biopsies": rows["sample"].unique(maintain_order=True).to_list(),
                     "images": list(scans)})  # fmt: skip
    keep = set(matched.samples)
    dropped = [
        (row["sample"], f"row {row['row']}, biopsy {row['biopsy']}: no images of this sample")
        for row in rows.iter_rows(named=True)
        if row["sample"] not in keep
    ]
    parts, units, centres = [], [], []
    for sample in matched.samples:
        own = rows.filter(pl.col("sample") == sample)
        at = _centres(own, scans[sample])
        radius = own["radius_mm"].fill_null(settings.radius_mm).to_numpy()
        parts.append(own)
        centres.append(at)
        units.append(settings.unit(scans[sample], at, radius))
    found = measure_points(units, executor=executor, what="Measuring biopsies")
    names = next((item.names for item in found if item.names), ())
    kept, values = [], []
    for own, at, item, unit in zip(parts, centres, found, units, strict=True):
        good = np.array([not reason for reason in item.reasons])
        for row, reason in zip(own.iter_rows(named=True), item.reasons, strict=True):
            if reason:
                hint = _remedy(reason, row, unit)
                text = f"row {row['row']}, biopsy {row['biopsy']}: {reason}{hint}"
                dropped.append((row["sample"], text))
        if not good.any():
            continue
        places = pl.DataFrame(at, schema=["x_mm", "y_mm", "z_mm"], orient="row")
        kept.append(pl.concat([own, places], how="horizontal").filter(pl.Series(good)))
        values.append(item.values[good])
    lost = pl.DataFrame(dropped, schema={"sample": pl.String, "reason": pl.String}, orient="row")
    if not kept:
        raise InputError(
            f"No biopsy could be measured. {shown(lost['reason'].to_list(), 3)}. Check the frame "
            "of the coordinates (--frame) and that images and coordinates share a space."
        )
    return pl.concat(kept).drop("row"), np.concatenate(values), names, lost


def _centres(own: pl.DataFrame, scan: CoregisteredImages) -> FloatArray:
    """Return LPS millimetres of the rows of one sample."""
    out = np.empty((own.height, 3))
    xyz = own.select("x", "y", "z").to_numpy()
    frames = own["frame"].to_numpy()
    for frame in np.unique(frames):
        at = frames == frame
        geometry = read_image(scan.images[0][1]).geometry if frame == "index" else _ANY
        out[at] = points_to_lps(xyz[at], str(frame), geometry)
    return out


def _remedy(reason: str, row: Mapping[str, Any], unit: PointUnit) -> str:
    """Return what helps a point that lies outside: another frame, where that would hit."""
    if not reason.startswith("outside"):
        return ""
    image = read_image(unit.images[0][1]).geometry
    point = np.array([[row["x"], row["y"], row["z"]]])
    for frame in ("LPS", "RAS", "index"):
        if frame == row["frame"]:
            continue
        index = image.to_index(points_to_lps(point, frame, image))[0]
        if (index > -0.5).all() and (index < np.array(image.shape) - 0.5).all():
            return f" (in the frame {frame} it would lie on the image: check the frame)"
    return " (no frame puts it on the image: check the coordinates and the registration)"


def biopsies(
    table: pl.DataFrame,
    scans: Mapping[str, CoregisteredImages],
    *,
    label: str,
    settings: LocalSettings | None = None,
    confidence: float = 0.9,
    threshold: float | None = None,
    permutations: int = 0,
    seed: int = 0,
    executor: Executor | None = None,
) -> tuple[BiopsyResult, LocalModel]:
    """Return how well surroundings of biopsies predict a molecular label, and a model for maps.

    Parameters
    ----------
    table : polars.DataFrame
        As `radgen.io.read_biopsies` returns it.
    scans : mapping of str to CoregisteredImages
        As `radgen.io.read_coregistered` returns it.
    label : str
        Column of the table: two states (mutant and wild-type, 1 and 0), or numbers.
    settings : LocalSettings or None
        How places are measured; None = spheres of 5 mm.
    confidence : float
        A place is certain where its side of the threshold is this probable.
    threshold : float or None
        Of a quantity; None = the median of the biopsies.
    permutations : int
        Shuffles of the labels within patients, for the p-value of states; 0 = none.
    seed : int
        Of the shuffles.
    executor : concurrent.futures.Executor or None
        Where samples are measured.

    Returns
    -------
    result : BiopsyResult
        Held-out predictions.
    model : LocalModel
        Of all biopsies; `paint_sample` takes it.

    Raises
    ------
    InputError
        If the label is no column or has one value, or there are fewer than three patients.
    AlignmentError
        If no sample of the table has images.

    References
    ----------
    Hu et al. 2017, Neuro-Oncology 19:128, doi:10.1093/neuonc/now135. Hu et al. 2021, Sci Rep
    11:3932, doi:10.1038/s41598-021-83141-z (certainty of a Gaussian process).
    """
    how = settings or LocalSettings()
    if not 0.5 <= confidence < 1:
        raise InputError(f"confidence lies in [0.5, 1), as {confidence:g} does not.")
    coded, kind, notes = _labels(table, label)
    blank = coded.filter(pl.col(label).is_null())
    kept, values, names, lost = measure_biopsies(
        coded.filter(pl.col(label).is_not_null()), scans, settings=how, executor=executor
    )
    y = kept[label].to_numpy().astype(np.float64)
    patients = kept["sample"].to_numpy()
    _require(y, patients, label)
    cut = (float(np.median(y)) if threshold is None else threshold) if kind == "quantity" else 0.0
    model = GaussianProcess(kind=kind, threshold=cut)  # type: ignore[arg-type]
    rows, found, bound = [], {}, 0
    for scheme in ("patient", "biopsy"):
        found[scheme], stuck = held_out(model, values, y, patients, scheme)  # type: ignore[arg-type]
        bound += stuck
        rows.append(
            scheme_row(scheme, found[scheme], y, patients, kind=kind, confidence=confidence)
        )
    params: dict[str, Any] = {
        "label": label, "radius_mm": how.radius_mm, "shape": how.shape, "inside": how.inside,
        "zscore": how.zscore, "features": how.features.to_mapping(), "confidence": confidence,
        "threshold": cut, "permutations": permutations, "seed": seed,
        "images": [name for name, _ in next(iter(scans.values())).images],
        "p_within_patients": None,
    }  # fmt: skip
    if permutations and kind == "state":
        params["p_within_patients"] = _p_within(
            model,
            (values, y, patients),
            found["patient"].value,
            permutations=permutations,
            seed=seed,
        )
    frame = kept.select("sample", "biopsy", "x_mm", "y_mm", "z_mm").with_columns(
        label=y, predicted=found["patient"].value, sd=found["patient"].sd,
        certainty=found["patient"].side, certain=found["patient"].side >= confidence,
        predicted_knowing_patient=found["biopsy"].value,
    )  # fmt: skip
    result = BiopsyResult(
        frame=frame, params=params, n_used=len(y), dropped=pl.concat([lost, _blank(blank)]),
        warnings=(*notes, *_cautions(y, patients, kind, bound, lost)), schemes=scheme_table(rows),
        features=pl.concat(
            [kept.select("sample", "biopsy"), pl.DataFrame(values, schema=list(names))],
            how="horizontal",
        ),
        label=label, label_kind=kind,
    )  # fmt: skip
    return result, fit_local_model(
        model, values, y, names, images=params["images"], settings=how, label=label,
        confidence=confidence,
    )  # fmt: skip


def fit_local_model(
    model: GaussianProcess,
    values: FloatArray,
    y: FloatArray,
    names: Sequence[str],
    *,
    images: Sequence[str],
    settings: LocalSettings,
    label: str,
    confidence: float = 0.9,
) -> LocalModel:
    """Return a model fitted to all of some biopsies.

    Parameters
    ----------
    model : GaussianProcess
        Cloned and fitted.
    values : float64 (n, p)
        Local features.
    y : float64 (n,)
        Labels.
    names : sequence of str (p,)
        Of the features.
    images : sequence of str
        Names of the images.
    settings : LocalSettings
        How they were measured.
    label : str
        Name of the label.
    confidence : float
        From which probability of its side a place is certain.

    Returns
    -------
    LocalModel
        For `paint_sample`.

    Raises
    ------
    FitError
        If the biopsies hold one state alone.
    """
    fit = clone(model).fit(values, y)
    return LocalModel(fit, tuple(names), tuple(images), settings, label, confidence)


def _labels(table: pl.DataFrame, label: str) -> tuple[pl.DataFrame, str, tuple[str, ...]]:
    known = [n for n in table.columns if n not in ("sample", "biopsy", "x", "y", "z", "frame")]
    require_choice(label, known, what="label")
    coded, notes = code_states(table, [label], what="the table of biopsies")
    numbers, dirty = to_numbers(coded[label])
    if dirty:
        cells = [f"row {row}: {text!r}" for row, _, text in dirty]
        raise InputError(f"Label {label!r} holds words that are no state: {shown(cells)}.")
    levels = set(numbers.drop_nulls().drop_nans().unique().to_list())
    kind = "state" if levels <= {0.0, 1.0} else "quantity"
    return coded.with_columns(numbers.fill_nan(None).alias(label)), kind, notes


def _require(y: FloatArray, patients: NDArray[Any], label: str) -> None:
    n = len(np.unique(patients))
    if len(np.unique(y)) < 2:
        raise InputError(f"All {len(y)} biopsies have the same {label}: there is nothing to learn.")
    if n < _FEWEST_PATIENTS:
        raise InputError(
            f"Biopsies of {n} patients cannot show what holds for another patient; "
            f"{_FEWEST_PATIENTS} are the least."
        )


def _p_within(
    model: GaussianProcess,
    rows: tuple[FloatArray, FloatArray, NDArray[Any]],
    score: FloatArray,
    *,
    permutations: int,
    seed: int,
) -> float | None:
    values, y, patients = rows
    observed, pairs = within_patient_auc(y, score, patients)
    if not pairs:
        return None
    above = 0
    for k in range(permutations):
        shuffled = permuted_within(y, patients, spawn(seed, "biopsies", k))
        null = held_out(model, values, shuffled, patients, "patient")[0].value
        above += within_patient_auc(shuffled, null, patients)[0] >= observed - 1e-12
    return (above + 1) / (permutations + 1)


def _blank(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "sample", pl.concat_str(pl.lit("biopsy "), "biopsy", pl.lit(": no label")).alias("reason")
    )


def _cautions(
    y: FloatArray, patients: NDArray[Any], kind: str, bound: int, lost: pl.DataFrame
) -> list[str]:
    out = []
    n = len(np.unique(patients))
    if lost.height:
        out.append(f"{lost.height} biopsies have no values: {shown(lost['reason'].to_list(), 3)}.")
    if n < 10:
        out.append(f"Only {n} patients: each of them weighs much, and intervals are rough.")
    if kind == "state":
        both = sum(len(np.unique(y[patients == p])) == 2 for p in np.unique(patients))
        if not both:
            out.append(
                "No patient has biopsies of both states: a map within a tumour is not tested by "
                "these data, only the difference between patients."
            )
    if bound:
        out.append(f"In {bound} folds the kernel lies at the end of its range.")
    return out
