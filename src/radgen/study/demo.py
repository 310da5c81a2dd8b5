"""Simulate a cohort, study it, and set what was found beside what was planted."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

from radgen._core.files import write_text
from radgen.sim import Cohort, CohortSettings, PlantedEffect, simulate_cohort
from radgen.study.study import Study, StudyRun
from radgen.types import Result

__all__ = ["Demo", "planted_and_found", "run_demo"]

_ALPHA = 0.05
_SMALL = 1e-3


@dataclass(frozen=True, eq=False)
class Demo:
    """A finished demonstration.

    Attributes
    ----------
    folder : Path
        The files of the cohort, ``study.toml`` among them.
    run : StudyRun
        The study's run.
    table : polars.DataFrame
        ``planted, found, agrees``: a row an effect; `agrees` is "yes" or "no".
    """

    folder: Path
    run: StudyRun
    table: pl.DataFrame


def run_demo(
    out: str | Path = "radgen-demo", *, samples: int = 120, seed: int = 1, jobs: int = 0
) -> Demo:
    """Return a whole study of a simulated cohort with a known truth.

    Parameters
    ----------
    out : str or Path
        Folder: ``cohort/`` receives the files as a user would have them, ``results/`` the run.
    samples : int, default 120
        Number of people.
    seed : int, default 1
        Seed of the cohort and of the study.
    jobs : int, default 0
        Processes; 0 = one a processor.

    Returns
    -------
    Demo
        Where everything lies, and the table of planted effects and findings.

    Raises
    ------
    InputError
        If there are fewer than 10 people, or another run holds the folder.
    """
    folder = Path(out) / "cohort"
    cohort = simulate_cohort(CohortSettings(n_samples=samples, seed=seed))
    cohort.write(folder)
    template = (files("radgen.study") / "templates" / "demo.toml").read_text(encoding="utf-8")
    write_text(folder / "study.toml", template.replace("@SEED@", str(seed)))
    run = Study.load(folder / "study.toml").run(Path(out) / "results", jobs=jobs)
    return Demo(folder, run, planted_and_found(cohort, run))


def planted_and_found(cohort: Cohort, run: StudyRun) -> pl.DataFrame:
    """Return a row for each planted effect: what it is, what was found, whether they agree."""
    rows = []
    for effect in cohort.truth:
        text, agrees = _finding(effect, cohort, run)
        rows.append({"planted": effect.name, "found": text, "agrees": "yes" if agrees else "no"})
    return pl.DataFrame(rows)


def _finding(effect: PlantedEffect, cohort: Cohort, run: StudyRun) -> tuple[str, bool]:
    results = run.results
    if effect.analysis == "gwas":
        return _variant(effect, results.get("Variants and tumour volume"))
    if effect.analysis == "associate":
        mutation = effect.layer == "mutation"
        name = "Mutations" if mutation else "Expression modules"
        modules = [m for m, genes in cohort.modules.items() if effect.source in genes]
        wanted = effect.source if mutation else modules[0]
        return _association(effect, wanted, results.get(f"{name} and image features"), run)
    if effect.analysis == "survival":
        return _hazard(effect, results.get("Survival by tumour volume and gene"))
    return _prediction(effect, results.get(f"{effect.source} from images"))


_NOT_DONE = "the analysis could not be done", False


def _sign(value: float) -> int:
    return int(np.sign(value))


def _variant(effect: PlantedEffect, result: Result | None) -> tuple[str, bool]:
    if result is None:
        return _NOT_DONE
    best = result.table.drop_nulls("p").sort("log10p").head(1)
    if not best.height:
        return "no variant could be tested", False
    row = best.row(0, named=True)
    chosen = result.table.filter(pl.col("id") == effect.source)
    own = chosen.row(0, named=True) if chosen.height else None
    p_limit = _ALPHA / max(result.table.height, 1)
    if effect.sign == 0:
        return f"smallest p {row['p']:.1g}", row["p"] > p_limit
    text = f"strongest: {row['id']}, beta {row['beta']:+.2f} SD per allele, p {row['p']:.1g}"
    near = own is not None and abs(row["pos"] - own["pos"]) < 1e6 and row["chrom"] == own["chrom"]
    right = own is not None and _sign(own["beta"]) == effect.sign
    return text, near and right and row["p"] < p_limit


def _association(
    effect: PlantedEffect, wanted: str, result: Result | None, run: StudyRun
) -> tuple[str, bool]:
    if result is None:
        return _NOT_DONE
    specs = run.phenotypes.specs
    names = specs.filter(pl.col("ibsi_code") == effect.ibsi_code)["name"].to_list()
    rows = result.table.filter(
        pl.col("phenotype").is_in(names) & (pl.col("status") != "not_tested")
    )
    rows = rows.filter(pl.col("omics") == wanted).sort("log10p")
    if not rows.height:
        return "not tested", False
    row = rows.row(0, named=True)
    text = f"{row['omics']}: effect {row['effect']:+.2f} SD, p {row['p']:.1g}, q {row['q_bh']:.1g}"
    if effect.sign == 0:
        return text, row["q_bh"] > _ALPHA
    return text, row["q_bh"] <= _ALPHA and _sign(row["effect"]) == effect.sign


def _hazard(effect: PlantedEffect, result: Result | None) -> tuple[str, bool]:
    if result is None:
        return _NOT_DONE
    row = result.table.filter(pl.col("unit") == "SD").row(0, named=True)
    text = (
        f"hazard ratio {row['hazard_ratio']:.2f} per SD "
        f"({row['ci_low']:.2f} to {row['ci_high']:.2f})"
    )
    clear = row["ci_low"] > 1 or row["ci_high"] < 1
    if effect.sign == 0:
        return text, not clear
    return text, clear and _sign(row["log_hazard"]) == effect.sign


def _prediction(effect: PlantedEffect, result: Result | None) -> tuple[str, bool]:
    if result is None:
        return _NOT_DONE
    table = result.table.filter(pl.col("metric") == "auc")
    named = table.filter(pl.col("model").str.contains("imaging"))
    row = (named if named.height else table).row(0, named=True)
    text = (
        f"AUC {row['estimate']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f}), {row['model']}"
    )
    better = row["ci_low"] > 0.5
    return text, better if effect.sign > 0 else not better
