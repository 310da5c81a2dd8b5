"""The chapters on the cohort: who was kept, which features were measured, what sites did."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from radgen import plot
from radgen.errors import InputError
from radgen.report.blocks import Block, Figure, Prose, Table
from radgen.report.input import ReportInput
from radgen.types import PhenotypeTable

__all__ = ["cards", "chapters"]

_MAP_SAMPLES = 400
_MAP_FEATURES = 150
_SITE_FEATURES = 8


def chapters(report: ReportInput) -> list[tuple[str, tuple[Block, ...]]]:
    """Return title and blocks of the chapters on flow, samples, features and sites."""
    found: list[tuple[str, tuple[Block, ...]]] = []
    if report.flow is not None and report.flow.height:
        found.append(("Cohort flow", _flow(report.flow)))
    if report.samples is not None and report.samples.height:
        found.append(("Samples", (Table("Samples of the study", report.samples),)))
    if report.phenotypes is not None:
        found.append(("Image features", _features(report.phenotypes, report.samples)))
    if report.phenotypes is not None and report.before is not None:
        blocks = _harmonisation(report.before, report.phenotypes, report.samples)
        if blocks:
            found.append(("Site harmonisation", blocks))
    return found


def cards(report: ReportInput) -> list[tuple[str, str, str]]:
    """Return the numbers that stand on top: value, what it counts, a remark."""
    found: list[tuple[str, str, str]] = []
    if report.flow is not None and report.flow.height:
        first, last = report.flow["n"][0], report.flow["n"][-1]
        found.append((f"{last:,}", "samples analysed", f"of {first:,}"))
    elif report.phenotypes is not None:
        found.append((f"{report.phenotypes.n_samples:,}", "samples analysed", ""))
    if report.scans:
        bad = sum(scan.status != "ok" for scan in report.scans)
        remark = f"{bad:,} not ok" if bad else "all ok"
        found.append((f"{len(report.scans):,}", "scans pictured", remark))
    if report.phenotypes is not None:
        bad = report.phenotypes.status.height
        remark = f"{bad:,} entries not ok" if bad else "all values ok"
        found.append((f"{report.phenotypes.n_phenotypes:,}", "image features", remark))
    if report.samples is not None and "site" in report.samples.columns:
        found.append((f"{report.samples['site'].n_unique():,}", "sites", ""))
    if report.results:
        found.append((f"{len(report.results):,}", "analyses", ""))
    return found


def _flow(frame: pl.DataFrame) -> tuple[Block, ...]:
    steps = frame.select("step", "n", "dropped", "reason")
    lost = int(frame["n"][0]) - int(frame["n"][-1])
    drawn = Figure(
        "Samples kept and left out",
        f"Flow of samples: {frame['n'][0]} at the start, {frame['n'][-1]} analysed, {lost} lost.",
        lambda ax: plot.flow(steps, ax=ax),
        data=steps,
        size=(8.4, 0.45 + 0.8 * frame.height),
    )
    return (drawn, Table("Samples at each step", steps, {"n": "remain"}))


def _features(table: PhenotypeTable, samples: pl.DataFrame | None) -> tuple[Block, ...]:
    blocks: list[Block] = []
    status = _status_counts(table)
    blocks.append(
        Figure(
            "Status of the feature values",
            "Share of feature values that are ok, undefined or failed, a bar a family.",
            lambda ax: plot.feature_status(status, ax=ax),
            data=status,
            size=(8.4, 0.9 + 0.28 * status["family"].n_unique()),
        )
    )
    values, names, ids, remark = _map_values(table)
    if values.shape[0] > 2 and values.shape[1] > 2:
        notes = _annotations(samples, ids)
        blocks.append(
            Figure(
                "Samples and features, clustered",
                "Standardised feature values; samples in columns and features in rows, both "
                "ordered by hierarchical clustering.",
                lambda ax: plot.clustermap(
                    values.T,
                    row_names=plot.short_names(names),
                    column_names=ids,
                    column_notes=notes,
                    ax=ax,
                ),
                data=pl.DataFrame({"sample": ids, **dict(zip(names, values.T, strict=True))}),
                size=(9.2, 6.2),
                caption=remark,
            )
        )
    blocks.append(Table("Features", _summary(table)))
    if table.status.height:
        blocks.append(Table("Feature values that are not ok, and why", table.status))
    return tuple(blocks)


def _status_counts(table: PhenotypeTable) -> pl.DataFrame:
    families = table.specs.select(
        pl.col("name").alias("phenotype"),
        pl.when(pl.col("family") == "").then(pl.lit("unnamed")).otherwise("family").alias("family"),
    )
    totals = families.group_by("family").len().with_columns(total=pl.col("len") * table.n_samples)
    named = table.status.join(families, on="phenotype", how="inner")
    whole = table.status.filter(pl.col("phenotype") == "").join(
        families.select("family").with_columns(key=1).drop("key"), how="cross"
    )
    bad = (
        pl.concat([named.select("family", "status"), whole.select("family", "status")])
        .group_by("family", "status")
        .len("values")
    )
    lost = bad.group_by("family").agg(pl.col("values").sum().alias("lost"))
    ok = totals.join(lost, on="family", how="left").select(
        "family",
        pl.lit("ok").alias("status"),
        (pl.col("total").cast(pl.Int64) - pl.col("lost").fill_null(0).cast(pl.Int64))
        .clip(0)
        .alias("values"),
    )
    return pl.concat([ok, bad.with_columns(pl.col("values").cast(pl.Int64))]).sort(
        "family", "status"
    )


def _map_values(table: PhenotypeTable) -> tuple[np.ndarray, list[str], list[str], str]:
    values = np.array(table.values, dtype=float)
    known = np.isfinite(values)
    rows = np.flatnonzero(known.mean(axis=1) > 0.5) if values.shape[1] else np.array([], int)
    values, known = values[rows], known[rows]
    counts = known.sum(axis=0)
    safe = np.where(known, values, 0.0)
    mean = safe.sum(axis=0) / np.maximum(counts, 1)
    centred = np.where(known, values - mean, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / np.maximum(counts - 1, 1))
    keep = np.flatnonzero((deviation > 1e-12 * np.maximum(1.0, np.abs(mean))) & (counts > 2))
    shown = keep[np.linspace(0, len(keep) - 1, min(len(keep), _MAP_FEATURES)).astype(int)]
    taken = np.linspace(0, len(rows) - 1, min(len(rows), _MAP_SAMPLES)).astype(int)
    scaled = np.clip(centred[np.ix_(taken, shown)] / deviation[shown], -3, 3)
    remark = (
        f"{len(taken):,} of {table.n_samples:,} samples and {len(shown):,} of "
        f"{table.n_phenotypes:,} features, evenly taken; z-scores cut at ±3, missing drawn as 0."
    )
    ids = [table.samples[i] for i in rows[taken]]
    return scaled, [table.names[i] for i in shown], ids, remark


def _annotations(samples: pl.DataFrame | None, ids: list[str]) -> dict[str, list[str]]:
    if samples is None:
        return {}
    matched = pl.DataFrame({"sample": ids}).join(
        samples.with_columns(pl.col("sample").cast(pl.String)).unique("sample", keep="first"),
        on="sample",
        how="left",
        maintain_order="left",
    )
    found: dict[str, list[str]] = {}
    for name in matched.columns:
        text = matched[name].cast(pl.String, strict=False).fill_null("")
        if name != "sample" and 1 < text.n_unique() <= 8 and len(found) < 4:
            found[name] = text.to_list()
    return found


def _summary(table: PhenotypeTable) -> pl.DataFrame:
    values = np.array(table.values, dtype=float)
    known = np.isfinite(values)
    columns: dict[str, Any] = {"n": known.sum(axis=0)}
    quantiles = np.full((5, values.shape[1]), np.nan)
    for j in range(values.shape[1]):
        if known[:, j].any():
            quantiles[:, j] = np.quantile(values[known[:, j], j], (0, 0.25, 0.5, 0.75, 1))
    for label, row in zip(("min", "q25", "median", "q75", "max"), quantiles, strict=True):
        columns[label] = row
    specs = table.specs.select(
        [name for name in table.specs.columns if table.specs[name].cast(pl.String).ne("").any()]
    )
    return specs.hstack(pl.DataFrame(columns))


def _harmonisation(
    before: PhenotypeTable, after: PhenotypeTable, samples: pl.DataFrame | None
) -> tuple[Block, ...]:
    if samples is None or "site" not in samples.columns:
        return ()
    known = samples.filter(pl.col("site").is_not_null())
    site = dict(zip(known["sample"].cast(pl.String), known["site"].cast(pl.String), strict=True))
    common = [name for name in after.names if name in set(before.names)]
    ranked = sorted(
        ((_site_share(before, name, site), name) for name in common), key=lambda t: (-t[0], t[1])
    )[:_SITE_FEATURES]
    if not ranked:
        return ()
    rows = []
    for stage, table in (("before", before), ("after", after)):
        place = {name: j for j, name in enumerate(table.names)}
        for _, name in ranked:
            for sample, value in zip(table.samples, table.values[:, place[name]], strict=True):
                if np.isfinite(value) and sample in site:
                    rows.append((stage, name, site[sample], float(value)))
    frame = pl.DataFrame(rows, schema=["stage", "feature", "site", "value"], orient="row")
    shares = pl.DataFrame(
        {
            "feature": [name for _, name in ranked],
            "share_before": [share for share, _ in ranked],
            "share_after": [_site_share(after, name, site) for _, name in ranked],
        }
    )
    shown = ranked[0][1]
    label = plot.short_names(list(common))[list(common).index(shown)]
    drawn = Figure(
        f"{label} by site",
        "Distribution of the feature that differed most between sites, before and after "
        "harmonisation.",
        lambda ax: plot.site_distribution(frame.filter(pl.col("feature") == shown), ax=ax),
        data=frame,
        size=(8.4, 3.4),
    )
    return (
        Prose(
            "The share of a feature's variance that lies between sites, before and after "
            "harmonisation, for the features that differed most."
        ),
        drawn,
        *_components(before, after, site),
        Table("Variance between sites", shares),
    )


def _components(
    before: PhenotypeTable, after: PhenotypeTable, site: dict[str, str]
) -> tuple[Block, ...]:
    from radgen.phenotype import batch_components

    try:
        points = batch_components(before, after, site)
    except InputError:
        return ()  # too few samples or phenotypes for a picture
    return (
        Figure(
            "Samples by site on two components",
            "Scores on the two leading principal components of the phenotypes before "
            "harmonisation, the same axes after it; crosses are the means of sites.",
            lambda ax: plot.components(points, ax=ax),
            data=points,
            size=(8.4, 3.9),
        ),
    )


def _site_share(table: PhenotypeTable, name: str, site: dict[str, str]) -> float:
    values = np.asarray(table.values[:, table.names.index(name)], float)
    groups = np.array([site.get(sample, "") for sample in table.samples])
    use = np.isfinite(values) & (groups != "")
    values, groups = values[use], groups[use]
    total = float(((values - values.mean()) ** 2).sum()) if values.size else 0.0
    if total <= 0:
        return 0.0
    between = sum(
        (groups == g).sum() * (values[groups == g].mean() - values.mean()) ** 2
        for g in np.unique(groups)
    )
    return float(between / total)
