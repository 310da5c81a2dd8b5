"""Facts for the checklists that the results of a run already hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from radgen.report.input import ReportInput
from radgen.types import Result

__all__ = ["derive_facts"]


def derive_facts(report: ReportInput) -> dict[str, str]:
    """Return the facts that the report's own tables and results state.

    Parameters
    ----------
    report : ReportInput
        Facts given there stand before derived ones.

    Returns
    -------
    dict of str to str
        Texts by the keys of `radgen.catalog.FACTS`; facts that cannot be told are absent.
    """
    from radgen._version import __version__

    found: dict[str, str] = {
        "checklists": "CLEAR, METRICS, TRIPOD+AI and RG-46 are filled in this report.",
        "code": f"radgen {__version__}; versions of all packages stand under Provenance.",
        "all_pairs": "",
    }
    if report.question:
        found["objectives"] = report.question
    if report.limitations:
        found["limitations"] = " ".join(report.limitations)
    found |= _phenotype_facts(report)
    found |= _sample_facts(report)
    for result in report.results:
        found |= _result_facts(result)
    if findings := [text for result in report.results for text in result.findings()]:
        found["summary"] = " ".join(findings[:3])
    if report.results:
        found["n_used"] = _joined(f"{r.kind}: {r.n_used:,} samples" for r in report.results)
    found |= {key: text for key, text in report.facts.items() if text}
    return {key: text for key, text in found.items() if text}


def _phenotype_facts(report: ReportInput) -> dict[str, str]:
    table = report.phenotypes
    if table is None:
        return {}
    families = table.specs.group_by("family").len().sort("family")
    parts = [f"{row['family'] or 'unnamed'} {row['len']}" for row in families.to_dicts()]
    bad = table.status.height
    whole = table.values.size
    return {
        "n_features": f"{table.n_phenotypes:,} features of {table.n_samples:,} samples.",
        "feature_families": _joined(parts) + ".",
        "missing": (
            f"{bad:,} of {whole:,} feature values are not ok; each has a status and a reason."
            if bad
            else f"All {whole:,} feature values are ok."
        ),
        "feature_table": "Stored beside this report as Parquet.",
    }


def _sample_facts(report: ReportInput) -> dict[str, str]:
    found: dict[str, str] = {}
    if report.flow is not None and report.flow.height:
        found["flow"] = _joined(f"{r['step']}: {r['n']}" for r in report.flow.to_dicts()) + "."
    if report.scans:
        failed = [scan for scan in report.scans if scan.status != "ok"]
        found["quality"] = (
            f"{len(report.scans):,} scans are pictured with mask outlines; {len(failed):,} "
            "are not ok, each with its reason."
        )
    if report.samples is not None and "site" in report.samples.columns:
        sites = report.samples.group_by("site").len().sort("site")
        text = _joined(f"{row['site']} {row['len']}" for row in sites.to_dicts())
        found["sites"] = f"{sites.height} sites: {text}."
        if sites.height > 1:
            found["several_sites"] = f"Yes: {sites.height} sites."
    return found


def _result_facts(result: Result) -> dict[str, str]:
    found: dict[str, str] = {}
    methods = result.methods()
    names = {name.lower() for name in result.frame.columns}
    if result.kind == "prediction":
        scheme = methods or "Stated in the methods."
        found |= dict.fromkeys(("partition", "internal_test", "model", "tuning"), scheme)
        found["direction"] = "Image to gene or outcome (prediction)."
        found["performance"] = " ".join(result.findings()[:2])
        if {"ci_low", "ci_high"} <= names:
            found["uncertainty"] = "Every measure has a confidence interval."
        if "metric" in names:
            metrics = result.frame["metric"].unique(maintain_order=True).to_list()
            found["metrics"] = _joined(metrics) + "."
        found |= _model_facts(result)
    if result.kind in ("association", "gwas", "burden"):
        found["direction"] = "Association of images with molecular traits."
        found["multiplicity"] = f"{result.frame.height:,} tests are listed. {methods}"
        found["all_pairs"] = "All tests stand in the Parquet file beside this report."
    return found


def _model_facts(result: Result) -> dict[str, str]:
    found: dict[str, str] = {}
    if "model" in result.frame.columns:
        models = result.frame["model"].unique(maintain_order=True).to_list()
        if len(models) > 1:
            found["baselines"] = "Compared on the same folds: " + _joined(models) + "."
            found["simple_model"] = found["baselines"]
    differences = _table(result, "differences")
    if differences.height:
        found["comparison"] = "Paired differences on the same patients, with intervals."
    if _table(result, "calibration").height:
        found["calibration"] = "Calibration curve, slope and intercept are shown."
    if _table(result, "thresholds").height:
        found["thresholds"] = "Decision thresholds were fixed in training data."
    return found


def _table(result: Any, name: str) -> pl.DataFrame:
    value = getattr(result, name, None)
    return value if isinstance(value, pl.DataFrame) else pl.DataFrame()


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(str(part) for part in parts)
