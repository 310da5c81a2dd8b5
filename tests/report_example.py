"""A made-up study for the tests of the report: every section, and hostile text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen import plot
from radgen.report import ReportInput, Scan, Section, Table, thumbnail
from radgen.types import Geometry, ImageVolume, Mask, PhenotypeTable, Result, blank_specs

HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "$\\frac{a}{$ _under & \"quote' \x00\x1b",
    '"><svg onload=document.title=1>',
    "{{ 7 * 7 }} {% raw %}",
    "=1+1; --> ]]> \u2028 日本語 \ud83e",
)


@dataclass(frozen=True, eq=False)
class FakeAssociation(Result):
    """Pairs as `radgen.associate.scan` gives them, with plots of its own."""

    kind: ClassVar[str] = "association"
    plots: ClassVar[tuple[str, ...]] = ("volcano", "forest")

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        frame = self.frame
        if kind == "volcano":
            return plot.volcano(
                frame["effect"],
                frame["log10p"],
                significant=frame["q_bh"].to_numpy() < 0.05,
                labels=frame["phenotype"].to_list(),
                ax=ax,
            )
        head = frame.sort("p").head(8)
        return plot.forest(
            head["phenotype"].to_list(), head["effect"], head["ci_low"], head["ci_high"], ax=ax
        )

    def statements(self) -> tuple[str, ...]:
        return (
            "3 of 400 pairs pass a false discovery rate of 5 %.",
            f"KRAS: no evidence of any association with {HOSTILE[0]}.",
        )

    def methods(self) -> str:
        return "Pairs were tested by linear regression with 8 covariates."


@dataclass(frozen=True, eq=False)
class FakeScan(Result):
    kind: ClassVar[str] = "gwas"
    plots: ClassVar[tuple[str, ...]] = ("manhattan", "qq")
    summary: pl.DataFrame = field(default_factory=pl.DataFrame)
    qq: pl.DataFrame = field(default_factory=pl.DataFrame)

    def statements(self) -> tuple[str, ...]:
        return ("No association reached p < 5e-8.",)

    def methods(self) -> str:
        return "Variants were tested by linear regression."


@dataclass(frozen=True, eq=False)
class FakePrediction(Result):
    kind: ClassVar[str] = "prediction"
    plots: ClassVar[tuple[str, ...]] = ("models", "roc", "calibration", "decision", "km")
    predictions: pl.DataFrame = field(default_factory=pl.DataFrame)
    differences: pl.DataFrame = field(default_factory=pl.DataFrame)
    calibration: pl.DataFrame = field(default_factory=pl.DataFrame)
    decision: pl.DataFrame = field(default_factory=pl.DataFrame)
    roc: pl.DataFrame = field(default_factory=pl.DataFrame)
    km: pl.DataFrame = field(default_factory=pl.DataFrame)
    risk_groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    thresholds: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = "IDH mutant"
    outcome_kind: str = "binary"
    primary: str = "combined"
    detectable: float = 0.6

    def statements(self) -> tuple[str, ...]:
        return (
            "combined: evidence that IDH mutant can be predicted: AUC 0.93 (0.90–0.96).",
            "MGMT: no evidence that the model is better than chance: AUC 0.51 (0.44–0.58).",
        )

    def methods(self) -> str:
        return "Models were evaluated by 5 times repeated, 5-fold nested cross-validation."


MODELS = ("no information", "clinical", "volume", "imaging", "combined")


def association(rng: np.random.Generator, n: int = 400) -> FakeAssociation:
    effect = rng.normal(0, 0.2, n)
    effect[:5] += 1.1
    z = effect / 0.2
    p = np.minimum(1.0, 2 * np.exp(-0.5 * z**2) / (1 + np.abs(z)))
    names = [f"glcm_feature_{i // 20:03d}" for i in range(n)]
    names[:6] = list(HOSTILE)
    frame = pl.DataFrame(
        {
            "phenotype": [name.encode("utf-8", "replace").decode() for name in names],
            "omics": [f"gene {i % 20}" for i in range(n)],
            "test": ["linear" if i % 4 else "firth_logistic" for i in range(n)],
            "n": [120] * n,
            "effect": effect,
            "ci_low": effect - 0.4,
            "ci_high": effect + 0.4,
            "p": p,
            "log10p": np.log10(p),
            "statistic": z,
            "q_bh": np.minimum(1.0, p * 20),
        }
    )
    return FakeAssociation(frame, {}, 120, warnings=("Two covariates were collinear.",))


def gwas(rng: np.random.Generator, n: int = 30_000) -> FakeScan:
    sizes = np.linspace(250e6, 48e6, 22)
    chrom = np.sort(rng.choice(np.arange(1, 23), n, p=sizes / sizes.sum()))
    pos = (rng.random(n) * sizes[chrom - 1]).astype(int) + 1
    log10p = np.log10(rng.random(n))
    peak = np.flatnonzero((chrom == 5) & (np.abs(pos - 90e6) < 2e6))
    log10p[peak] -= rng.random(len(peak)) * 9
    frame = pl.DataFrame(
        {
            "phenotype": ["hippocampus"] * n,
            "chrom": chrom.astype(str),
            "pos": pos,
            "id": [f"rs{i}" for i in range(n)],
            "log10p": log10p,
            "p": 10.0**log10p,
        }
    ).sort("chrom", "pos")
    counts = pl.DataFrame({"phenotype": "hippocampus", "log10p": log10p, "count": [1] * n})
    summary = pl.DataFrame(
        {
            "phenotype": ["hippocampus"],
            "n": [600],
            "n_tests": [n],
            "n_corrected": [3],
            "lambda_gc": [1.01],
            "lead_id": ["rs42"],
            "lead_chrom": ["5"],
            "lead_pos": [90_000_000],
            "lead_log10p": [float(log10p.min())],
        }
    )
    return FakeScan(frame, {"n_variants": n}, 600, summary=summary, qq=counts)


def prediction(rng: np.random.Generator) -> FakePrediction:
    grid = np.linspace(0, 1, 101)
    auc = dict(zip(MODELS, (0.5, 0.91, 0.62, 0.9, 0.95), strict=True))
    rows, curves, calibration, decision = [], [], [], []
    for name in MODELS:
        a = auc[name]
        rows.append((name, "images", "auc", a, 0.02, a - 0.03, min(a + 0.03, 1), 501, 501, 103))
        rows.append((name, "images", "brier", 0.1, 0.01, 0.08, 0.12, 501, 501, 103))
        shape = max((1 - a) / a, 1e-3)
        curves += [(name, float(x), float(x**shape)) for x in grid]
        if name != "no information":
            calibration += [
                (name, float(x), float(np.clip(x + 0.08 * (x - 0.5), 0, 1))) for x in grid
            ]
            for t in grid[1:70]:
                benefit = 0.2 * (1 - t) ** 0.5 * a
                every = 0.2 - 0.8 * t / (1 - t)
                decision.append((name, float(t), benefit, benefit - 0.02, benefit + 0.02, every))
    time = np.sort(rng.exponential(600, 60))
    km = []
    for group, rate in (("low", 1 / 1200), ("high", 1 / 350)):
        s = np.exp(-rate * time)
        km += [
            ("combined", group, float(t), int(60 - i), float(v), max(v - 0.1, 0), min(v + 0.1, 1))
            for i, (t, v) in enumerate(zip(time, s, strict=True))
        ]
    columns = ["model", "blocks", "metric", "estimate", "std_error", "ci_low", "ci_high", "n"]
    return FakePrediction(
        pl.DataFrame(rows, schema=[*columns, "n_patients", "events"], orient="row"),
        {"seed": 1},
        501,
        roc=pl.DataFrame(
            curves, schema=["model", "false_positive_rate", "true_positive_rate"], orient="row"
        ),
        calibration=pl.DataFrame(
            calibration, schema=["model", "predicted", "observed"], orient="row"
        ),
        decision=pl.DataFrame(
            decision,
            schema=["model", "threshold", "net_benefit", "ci_low", "ci_high", "treat_all"],
            orient="row",
        ),
        km=pl.DataFrame(
            km,
            schema=["model", "group", "time", "at_risk", "survival", "ci_low", "ci_high"],
            orient="row",
        ),
        risk_groups=pl.DataFrame(
            {
                "model": ["combined"],
                "repeat": [0],
                "hazard_ratio": [3.4],
                "ci_low": [2.1],
                "ci_high": [5.5],
                "logrank_p": [1.2e-6],
            }
        ),
        differences=pl.DataFrame(
            {
                "first": ["combined"],
                "second": ["clinical"],
                "metric": ["auc"],
                "difference": [0.04],
                "std_error": [0.01],
                "ci_low": [0.02],
                "ci_high": [0.06],
                "p_value": [0.001],
            }
        ),
    )


def phenotypes(rng: np.random.Generator, n: int = 80, p: int = 30) -> PhenotypeTable:
    latent = rng.normal(size=(n, 3))
    values = latent @ rng.normal(size=(3, p)) + 0.7 * rng.normal(size=(n, p))
    values[3, 4] = np.nan
    names = [f"feature_{j}" for j in range(p)]
    families = ["glcm" if j < 12 else "morphology" if j < 20 else "intensity" for j in range(p)]
    specs = blank_specs(names).with_columns(family=pl.Series(families), region=pl.lit("tumour"))
    status = pl.DataFrame(
        {
            "sample": ["sample-03", "sample-07"],
            "phenotype": ["feature_4", ""],
            "status": ["undefined", "failed"],
            "reason": ["one grey level", f"mask is empty {HOSTILE[1]}"],
        }
    )
    ids = [f"sample-{i:02d}" for i in range(n)]
    return PhenotypeTable(tuple(ids), values, specs, status)


def scan(number: int) -> Scan:
    grid = np.mgrid[:20, :48, :40]
    centre = np.array([10, 24, 20])[:, None, None, None]
    distance = np.sqrt((((grid - centre) * np.array([3, 1, 1])[:, None, None, None]) ** 2).sum(0))
    array = 100.0 * (distance < 22) + 40.0 * (distance < 8) + 5 * np.sin(grid.sum(0) / 3)
    geometry = Geometry.from_spacing((20, 48, 40), (3.0, 1.0, 1.0))
    image = ImageVolume(array.astype(np.float32), geometry, modality="MR")
    masks = {
        "tumour": Mask(distance < 8 + number % 3, geometry, "tumour"),
        "oedema": Mask(distance < 13, geometry, "oedema"),
    }
    return Scan(f"sample-{number:02d}", thumbnail(image, masks), caption="MR, 3 × 1 × 1 mm")


def example(seed: int = 7, n_rows: int = 400) -> ReportInput:
    """Return a report with every kind of section."""
    rng = np.random.default_rng(seed)
    after = phenotypes(rng)
    sites = [f"site {'ABC'[i % 3]}" for i in range(after.n_samples)]
    shift = np.array([{"site A": 0.0, "site B": 1.5, "site C": -1.0}[s] for s in sites])
    before = PhenotypeTable(after.samples, after.values + shift[:, None], after.specs, after.status)
    samples = pl.DataFrame(
        {
            "sample": list(after.samples),
            "site": sites,
            "IDH": [("mutant", "wild-type")[i % 2] for i in range(after.n_samples)],
            "age": [30 + i % 40 for i in range(after.n_samples)],
        }
    )
    flow = pl.DataFrame(
        {
            "step": [
                "Listed in the table",
                "Image and mask found",
                "Features measured",
                "Analysed",
            ],
            "n": [96, 90, 84, 80],
            "dropped": [0, 6, 6, 4],
            "reason": ["", "no scan within 30 days (6)", "empty mask (4)\n" + HOSTILE[0], "no IDH"],
        }
    )
    scans = [scan(i) for i in range(8)]
    scans.append(Scan(HOSTILE[1], status="failed", reason=f"truncated file {HOSTILE[0]}"))
    return ReportInput(
        study=f"Glioma study {HOSTILE[0]}",
        question="Do image features tell which tumours carry an IDH mutation?",
        sections=(
            Section("Associations", (association(rng, n_rows),), "Features against mutations."),
            Section("Genome", (gwas(rng),)),
            Section(
                "IDH",
                (prediction(rng), Table("A <b>hostile</b> caption", samples)),
            ),
        ),
        flow=flow,
        scans=tuple(scans),
        phenotypes=after,
        before=before,
        samples=samples,
        facts={"preprocessing": "Resampled to 1 mm, z-scored within the brain."},
        declarations={"clear.8": "Approved by the ethics board.", "metrics.2": "yes"},
        limitations=("No external test set.",),
        provenance={"seed": 7, "packages": {"numpy": "2.0"}, "inputs": [HOSTILE[0]]},
    )
