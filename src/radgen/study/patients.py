"""Pages of patients: from a finished study, or from tables of features, calls and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, RadgenError, shown
from radgen.io.calls import is_unknown
from radgen.io.feature_tables import read_feature_table
from radgen.io.plain import read_plain
from radgen.phenotype.neighbours import CohortReference, profile_sample
from radgen.predict import FittedModel, model_sites, model_tables, read_bundle
from radgen.predict.abstain import decisions
from radgen.predict.fitting import hashed
from radgen.report import Scan
from radgen.report.patient import PatientPage, write_patient_page
from radgen.report.thumbnail import thumbnail
from radgen.stats.conformal import class_p_values
from radgen.types import PhenotypeTable

__all__ = ["PatientSources", "patient_pages"]

_PREDICTIONS = {
    "outcome": pl.String, "source": pl.String, "score": pl.Float64, "meaning": pl.String,
    "uncertainty": pl.String, "decision": pl.String, "reason": pl.String,
}  # fmt: skip
_CALLS = {"item": pl.String, "value": pl.String, "cohort": pl.String}
_FEWEST = 10
_DATE = r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})\b"


@dataclass(frozen=True, slots=True)
class PatientSources:
    """Where the numbers of the pages come from.

    Attributes
    ----------
    study : Path or None
        Output folder of ``radgen run``: its phenotypes and out-of-fold predictions.
    features : Path or None
        Or a table of image features, a row a sample.
    calls, outcomes : Path or None
        Tables with a row a sample: molecular calls; what is shown of similar samples.
    models : tuple of Path
        Bundles of ``radgen evaluate --freeze``.
    scans : Path or None
        Columns sample, image, mask: pictures.
    id_name : str or None
        Column of sample ids.
    """

    study: Path | None = None
    features: Path | None = None
    calls: Path | None = None
    outcomes: Path | None = None
    models: tuple[Path, ...] = ()
    scans: Path | None = None
    id_name: str | None = None


def patient_pages(
    samples: Sequence[str],
    sources: PatientSources,
    out: Path,
    *,
    n_neighbours: int = 5,
    level: float = 0.1,
) -> list[Path]:
    """Write a page for each sample and return their paths.

    Parameters
    ----------
    samples : sequence of str
        Ids of the study; empty = all.
    sources : PatientSources
        Where the numbers come from.
    out : Path
        Folder of the pages.
    n_neighbours : int
        Similar samples that are named.
    level : float
        Share of true classes that may be left out: models of two classes abstain where both are
        plausible.

    Returns
    -------
    list of Path
        ``SAMPLE.html`` each, in order.

    Raises
    ------
    InputError
        If a sample is not in the features, or there are no features.
    FormatError
        If a table or bundle cannot be read.
    """
    if not 0 < level < 1:
        raise InputError(f"abstain is an error level between 0 and 1, not {level:g}.")
    table = _features(sources)
    wanted = list(samples) or list(table.samples)
    unknown = [name for name in wanted if name not in table.samples]
    if unknown:
        raise InputError(
            f"No features of {shown(unknown)}. Samples with features: {shown(table.samples)}."
        )
    names = [_file_name(name) for name in wanted]
    if len(set(names)) < len(names):
        raise InputError("Two samples would have pages of one name: ask for them in two runs.")
    calls, outcomes = (_plain(path, sources.id_name) for path in (sources.calls, sources.outcomes))
    said = _of_bundles(sources, level) + _of_study(sources, level)
    pictures = _pictures(sources.scans, set(wanted))
    points = _components(table)
    paths = []
    for sample, name in zip(wanted, names, strict=True):
        profile = profile_sample(table, sample, n_neighbours=n_neighbours)
        page = PatientPage(
            profile, points, table.samples, _calls_of(calls, sample),
            _predictions_of(said, sample, profile.reason), outcomes, pictures.get(sample, ()),
        )  # fmt: skip
        paths.append(write_patient_page(page, out / f"{name}.html"))
    return paths


def _features(sources: PatientSources) -> PhenotypeTable:
    if (sources.study is None) == (sources.features is None):
        raise InputError("Give --study with the output folder of radgen run, or --features.")
    if sources.features is not None:
        return read_feature_table(sources.features, id_column=sources.id_name)
    folder = Path(str(sources.study)) / "tables"
    for name in ("phenotypes-harmonised", "phenotypes"):
        if (folder / f"{name}.parquet").is_file():
            return read_feature_table(folder / f"{name}.parquet", id_column="sample")
    raise InputError(
        f"{sources.study} holds no tables/phenotypes.parquet. Give the output folder of a "
        "finished radgen run."
    )


def _plain(path: Path | None, id_name: str | None) -> pl.DataFrame | None:
    if path is None:
        return None
    frame, _ = read_plain(path, id_name=id_name)
    dates = [
        name for name, kind in frame.schema.items()
        if kind == pl.Date or (kind == pl.String and _all_dates(frame[name]))
    ]  # fmt: skip
    frame = frame.drop(dates).with_columns(pl.col("sample").cast(pl.String))
    texts = [name for name in frame.columns if frame[name].dtype == pl.String and name != "sample"]
    unknown = {name: [c is None or is_unknown(c) for c in frame[name]] for name in texts}
    return frame.with_columns(
        pl.when(~pl.Series(cells)).then(pl.col(name)).alias(name) for name, cells in unknown.items()
    )


def _all_dates(column: pl.Series) -> bool:
    """Return whether a column holds dates, which no page shows."""
    known = column.drop_nulls()
    return bool(len(known)) and bool(known.str.contains(_DATE).all())


def _file_name(sample: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in sample).lstrip(".") or "sample"


def _components(table: PhenotypeTable) -> NDArray[np.float64]:
    """Return all samples on two principal components of their standardised features."""
    fit = CohortReference().fit(table.values)
    z = np.nan_to_num((table.values - fit.mean_) / fit.scale_)
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    found = u[:, :2] * s[:2]
    # Signs are free: the largest entry of each component is positive.
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    found = found * np.where(signs == 0, 1.0, signs)
    return np.hstack([found, np.zeros((len(found), 2 - found.shape[1]))])


def _calls_of(calls: pl.DataFrame | None, sample: str) -> pl.DataFrame:
    """Return the calls of a sample, and how frequent each is among the others that are known."""
    if calls is None or sample not in calls["sample"].to_list():
        return pl.DataFrame(schema=_CALLS)
    own = calls.row(by_predicate=pl.col("sample") == sample, named=True)
    others = calls.filter(pl.col("sample") != sample)
    rows = []
    for name in calls.columns:
        if name == "sample":
            continue
        column, value = others[name].drop_nulls(), own[name]
        if value is None or str(value) == "nan":
            rows.append((name, "not known", f"{len(column)} others known"))
        elif column.dtype.is_numeric() and column.n_unique() > 5:
            below = float((column < value).sum() + 0.5 * (column == value).sum())
            share = 100 * below / max(len(column), 1)
            rows.append((name, f"{value:.4g}", f"percentile {share:.0f} of {len(column)} others"))
        else:
            same = int((column == value).sum())
            text = f"{value:g}" if isinstance(value, float) else str(value)
            rows.append((name, text, f"so are {same} of {len(column)} others"))
    return pl.DataFrame(rows, schema=_CALLS, orient="row")


def _predictions_of(
    said: list[tuple[str, dict[str, Any]]], sample: str, reason: str
) -> pl.DataFrame:
    """Return the rows of one sample; none has a score where the cohort says nothing of it."""
    rows = [dict(row) for owner, row in said if owner == sample]
    for row in rows:
        if reason and row["score"] is not None:
            row |= {"score": None, "uncertainty": "", "decision": "", "reason": reason}
    return pl.DataFrame(rows, schema=_PREDICTIONS)


def _of_bundles(sources: PatientSources, level: float) -> list[tuple[str, dict[str, Any]]]:
    tables = [p for p in (sources.features, sources.calls, sources.outcomes) if p is not None]
    if sources.models and sources.study is not None:
        tables.append(sources.study / "tables" / "phenotypes.parquet")
    out = []
    for path in sources.models:
        model = read_bundle(path)
        blocks, _ = model_tables(model, tables, id_name=sources.id_name)
        place = model_sites(model, tables, id_name=sources.id_name)
        try:
            found = model.predict(blocks, sites=place)
        except RadgenError as error:
            samples = next(iter(blocks.values()))["sample"].to_list()
            out += [(s, _row(model.outcome, path.name, reason=str(error))) for s in samples]
            continue
        for row in found.iter_rows(named=True):
            out.append((row["sample"], _bundle_row(model, path, row, level)))
    return out


def _bundle_row(
    model: FittedModel, path: Path, row: Mapping[str, Any], level: float
) -> dict[str, Any]:
    source = f"frozen model {path.name}"
    if hashed([row["sample"]]) <= model.samples:
        return _row(
            model.outcome, source,
            reason="This sample trained the model: what it says of it is no prediction.",
        )  # fmt: skip
    if row["score"] is None or row["reason"]:
        return _row(model.outcome, source, reason=row["reason"] or "The model gives no score.")
    score = float(row["score"])
    if model.kind == "binary" and len(model.held_out[0]) and len(model.held_out[1]):
        p = model.class_p_values(np.array([score]))[0]
        return _binary(model.outcome, source, model.levels, score, p, level)
    meaning = {
        "binary": f"probability of {model.levels[-1]}" if model.levels else "probability",
        "censored": "log relative hazard",
    }.get(model.kind, f"value {model.unit}".strip())
    spot = f"cohort mean {model.center:.3g}, SD {model.spread:.3g}"
    return _row(model.outcome, source, score=score, meaning=meaning, uncertainty=spot)


def _of_study(sources: PatientSources, level: float) -> list[tuple[str, dict[str, Any]]]:
    """Return out-of-fold predictions of a finished study: no sample is scored by its own model."""
    if sources.study is None:
        return []
    out = []
    for path in sorted((sources.study / "tables").glob("predict-*-predictions.parquet")):
        frame = pl.read_parquet(path)
        summary = path.with_name(path.name.replace("-predictions", ""))
        models = pl.read_parquet(summary) if summary.is_file() else None
        name = path.name.removeprefix("predict-").removesuffix("-predictions.parquet")
        out += _out_of_fold(frame, models, name, level)
    return out


def _out_of_fold(
    frame: pl.DataFrame, models: pl.DataFrame | None, name: str, level: float
) -> list[tuple[str, dict[str, Any]]]:
    """Return the out-of-fold scores of the model of most blocks, by sample."""
    order = frame["model"].unique(maintain_order=True).to_list()
    if models is not None and "blocks" in models.columns:
        size = {r["model"]: len(str(r["blocks"] or "").split("+")) * bool(r["blocks"])
                for r in models.iter_rows(named=True)}  # fmt: skip
        order.sort(key=lambda item: size.get(item, 0))
    chosen = order[-1]
    part = frame.filter((pl.col("model") == chosen) & pl.col("score").is_not_nan())
    each = part.group_by("sample", maintain_order=True).agg(
        pl.col("score").mean().alias("mean"), pl.col("score").std().fill_null(0.0).alias("sd"),
        pl.col("score").len().alias("n"), pl.col("y").first(), pl.col("event").first(),
    )  # fmt: skip
    source = f"study, out of fold ({chosen})"
    score, y = each["mean"].to_numpy(), each["y"].cast(pl.Float64).to_numpy()
    survival = each["event"].null_count() < each.height
    binary = not survival and set(np.unique(y)) <= {0.0, 1.0}
    out = []
    for k, row in enumerate(each.iter_rows(named=True)):
        spread = f"SD {row['sd']:.2g} over {row['n']} repeats" if row["n"] > 1 else "one repeat"
        if binary:
            others = np.arange(len(score)) != k
            if min((y[others] > 0.5).sum(), (y[others] < 0.5).sum()) >= _FEWEST:
                p = class_p_values(y[others], score[others], score[[k]])[0]
                item = _binary(name, source, ("negative", "positive"), row["mean"], p, level)
                item["uncertainty"] = f"{item['uncertainty']}; {spread}"
                out.append((row["sample"], item))
                continue
        meaning = "log relative hazard" if survival else "probability" if binary else "value"
        out.append((row["sample"], _row(name, source, score=row["mean"], meaning=meaning,
                                        uncertainty=spread)))  # fmt: skip
    return out


def _binary(  # noqa: PLR0917
    outcome: str,
    source: str,
    levels: Sequence[str],
    score: float,
    p: NDArray[np.float64],
    level: float,
) -> dict[str, Any]:
    call = int(decisions(p[None], level)[0])
    sure = f"at an error level of {level:g}"
    decision = f"Decided: {levels[call]}, {sure}" if call >= 0 else f"The model abstains, {sure}"
    return _row(
        outcome, source, score=score, meaning=f"probability of {levels[1]}", decision=decision,
        uncertainty=f"plausibility of {levels[0]} {p[0]:.2f}, of {levels[1]} {p[1]:.2f}",
    )  # fmt: skip


def _row(
    outcome: str,
    source: str,
    *,
    score: float | None = None,
    meaning: str = "",
    uncertainty: str = "",
    decision: str = "",
    reason: str = "",
) -> dict[str, Any]:
    return {
        "outcome": outcome, "source": source, "score": score, "meaning": meaning,
        "uncertainty": uncertainty, "decision": decision, "reason": reason,
    }  # fmt: skip


def _pictures(path: Path | None, wanted: set[str]) -> dict[str, tuple[Scan, ...]]:
    """Return pictures of the wanted samples; a scan that cannot be read says why."""
    if path is None:
        return {}
    from radgen.io import read_image, read_masks, read_table

    table = read_table(path)
    lost = [name for name in ("sample", "image", "mask") if name not in table.columns]
    if lost:
        raise InputError(f"{path} lacks the columns {shown(lost)}: needed are sample, image, mask.")
    out: dict[str, tuple[Scan, ...]] = {}
    for row in table.iter_rows(named=True):
        sample = str(row["sample"])
        if sample not in wanted:
            continue
        try:
            image = read_image(path.parent / str(row["image"]))
            masks = read_masks(path.parent / str(row["mask"]), reference=image)
            scan = Scan(sample, thumbnail(image, masks, size_px=220))
        except RadgenError as error:
            # The error may name the file's folder; the page says what happened without it.
            scan = Scan(sample, status="failed", reason=type(error).__name__)
        out[sample] = (*out.get(sample, ()), scan)
    return out
