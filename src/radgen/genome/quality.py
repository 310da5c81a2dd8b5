"""Quality control of genotypes, with counts at each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import counted
from radgen.errors import InputError
from radgen.genome.frequency import sample_statistics, variant_statistics
from radgen.genome.linkage import prune
from radgen.genome.relatedness import king, related_pairs
from radgen.types import GenotypeMatrix, Result

__all__ = ["GenotypeQC", "genotype_qc"]


_FEW_VARIANTS = 30


@dataclass(frozen=True, eq=False)
class GenotypeQC(Result):
    """What quality control left, and why the rest was taken out.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a step: step, rule, samples_before, samples_after, variants_before,
        variants_after.
    samples : polars.DataFrame
        Statistics of all samples, and removed_by (null = kept).
    variants : polars.DataFrame
        Statistics of all variants, and removed_by (null = kept).
    related : polars.DataFrame
        Pairs of related samples among those that passed the other steps.
    """

    kind: ClassVar[str] = "genotype_qc"

    samples: pl.DataFrame = field(default_factory=pl.DataFrame)
    variants: pl.DataFrame = field(default_factory=pl.DataFrame)
    related: pl.DataFrame = field(default_factory=pl.DataFrame)

    def apply(self, genotypes: GenotypeMatrix) -> GenotypeMatrix:
        """Return the samples and variants that were kept.

        Raises
        ------
        InputError
            If `genotypes` are not those that were examined.
        """
        if (
            list(genotypes.samples) != self.samples["sample"].to_list()
            or genotypes.variants["id"].to_list() != self.variants["id"].to_list()
        ):
            raise InputError("These are not the genotypes that this quality control examined.")
        rows = self.samples["removed_by"].is_null().arg_true().to_numpy()
        columns = self.variants["removed_by"].is_null().arg_true().to_numpy()
        return genotypes.take_samples(rows).take_variants(columns)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        last = self.frame.row(-1, named=True)
        first = self.frame.row(0, named=True)
        return (
            f"{last['samples_after']:,} of {first['samples_before']:,} samples and "
            f"{last['variants_after']:,} of {first['variants_before']:,} variants passed quality "
            "control.",
            *(
                f"{row['step']}: "
                f"{counted(row['samples_before'] - row['samples_after'], 'sample')} and "
                f"{counted(row['variants_before'] - row['variants_after'], 'variant')} removed "
                f"({row['rule']})."
                for row in self.frame.iter_rows(named=True)
                if row["samples_before"] != row["samples_after"]
                or row["variants_before"] != row["variants_after"]
            ),
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        rules = "; ".join(f"{row['step']} ({row['rule']})" for row in self.frame.to_dicts())
        return f"Genotypes were filtered in this order: {rules}."


def genotype_qc(
    genotypes: GenotypeMatrix,
    *,
    sample_call_rate: float = 0.95,
    variant_call_rate: float = 0.95,
    min_maf: float = 0.01,
    hwe_p: float = 1e-6,
    heterozygosity_sd: float | None = 5.0,
    max_kinship: float | None = 0.177,
    sex: dict[str, str] | None = None,
) -> GenotypeQC:
    """Return which samples and variants pass quality control.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read a few times, block by block.
    sample_call_rate, variant_call_rate : float, default 0.95
        Least call rates: samples first, then variants over the samples left.
    min_maf : float, default 0.01
        Least minor allele frequency.
    hwe_p : float, default 1e-6
        Least p of the exact Hardy-Weinberg test, on autosomes.
    heterozygosity_sd : float or None, default 5
        Largest distance of a sample's f_het from the mean, in standard deviations; None = skip.
    max_kinship : float or None, default 0.177
        Of a pair with more KING-robust kinship, the sample with more missing calls is taken out
        (0.177 leaves no first-degree relatives, 0.354 no duplicates); None = skip.
    sex : dict of str to str or None
        "male" or "female" of samples, to compare with chromosome X (f_het below 0.2 is female,
        above 0.8 male); samples that contradict are taken out. None = skip.

    Returns
    -------
    GenotypeQC
        Use ``apply`` to take the subset. Heterozygosity and relatedness are left out, and that is
        said, where fewer than 30 variants are left (candidate genes).

    Raises
    ------
    InputError
        If a step leaves no sample or no variant, or an option is out of range.
    """
    for name, value in (("sample_call_rate", sample_call_rate), ("min_maf", min_maf)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; needed is a number in [0, 1].")
    run = _Run(genotypes)
    people = sample_statistics(genotypes)
    run.drop_samples(
        "sample call rate",
        f"at least {sample_call_rate:g}",
        people["call_rate"].to_numpy() < sample_call_rate,
    )
    counts = variant_statistics(run.view())
    rate, maf = counts["call_rate"].to_numpy(), counts["maf"].fill_nan(0.0).to_numpy()
    hwe = counts["hwe_p"].fill_null(1.0).to_numpy()
    run.drop_variants(
        "variant call rate", f"at least {variant_call_rate:g}", rate < variant_call_rate
    )
    run.drop_variants("minor allele frequency", f"at least {min_maf:g}", maf < min_maf)
    run.drop_variants("Hardy-Weinberg", f"exact p at least {hwe_p:g}", hwe < hwe_p)
    if sex is not None:
        run.drop_samples(
            "sex check",
            "chromosome X agrees",
            _sex_conflicts(sample_statistics(run.view(all_samples=True)), sex),
        )
    notes = []
    if int(run.variants_left.sum()) < _FEW_VARIANTS and (heterozygosity_sd or max_kinship):
        notes.append(
            f"Heterozygosity and relatedness were not checked: {int(run.variants_left.sum())} "
            f"variants are left, and these steps need {_FEW_VARIANTS}."
        )
        heterozygosity_sd = max_kinship = None
    if heterozygosity_sd is not None:
        f = sample_statistics(run.view(all_samples=True))["f_het"].to_numpy()
        inside = f[run.samples_left]
        far = np.abs(f - np.nanmean(inside)) > heterozygosity_sd * np.nanstd(inside)
        run.drop_samples("heterozygosity", f"within {heterozygosity_sd:g} SD", far)
    related = pl.DataFrame()
    if max_kinship is not None:
        view = run.view()
        thin = view.take_variants(prune(view))
        related = related_pairs(king(thin), at_least=max_kinship)
        missing = dict(zip(people["sample"], 1.0 - people["call_rate"], strict=True))
        gone = _one_of_each_pair(related, missing)
        run.drop_samples(
            "relatedness",
            f"KING-robust kinship below {max_kinship:g}",
            np.isin(np.array(genotypes.samples), list(gone)),
        )
    params: dict[str, Any] = {
        "sample_call_rate": sample_call_rate,
        "variant_call_rate": variant_call_rate,
        "min_maf": min_maf,
        "hwe_p": hwe_p,
        "heterozygosity_sd": heterozygosity_sd,
        "max_kinship": max_kinship,
        "sex_checked": sex is not None,
    }
    return GenotypeQC(
        pl.DataFrame(run.steps),
        params,
        int(run.samples_left.sum()),
        warnings=tuple(notes),
        dropped=pl.DataFrame(
            {"sample": genotypes.samples, "reason": run.samples_by},
            schema={"sample": pl.String, "reason": pl.String},
        ).drop_nulls("reason"),
        samples=people.with_columns(pl.Series("removed_by", run.samples_by, dtype=pl.String)),
        variants=counts.with_columns(pl.Series("removed_by", run.variants_by, dtype=pl.String)),
        related=related,
    )


class _Run:
    """Samples and variants that are still in, and the steps so far."""

    def __init__(self, genotypes: GenotypeMatrix) -> None:
        self.genotypes = genotypes
        self.samples_left = np.ones(genotypes.n_samples, bool)
        self.variants_left = np.ones(genotypes.n_variants, bool)
        self.samples_by: list[str | None] = [None] * genotypes.n_samples
        self.variants_by: list[str | None] = [None] * genotypes.n_variants
        self.steps: list[dict[str, Any]] = []

    def view(self, *, all_samples: bool = False) -> GenotypeMatrix:
        """Return what is left; with `all_samples` of the variants only."""
        view = self.genotypes
        if not self.variants_left.all():
            view = view.take_variants(np.flatnonzero(self.variants_left))
        if not self.samples_left.all() and not all_samples:
            view = view.take_samples(np.flatnonzero(self.samples_left))
        return view

    def _step(self, step: str, rule: str, samples: int, variants: int) -> None:
        left = int(self.samples_left.sum()), int(self.variants_left.sum())
        if not all(left):
            raise InputError(f"The step {step!r} ({rule}) leaves no sample or no variant.")
        self.steps.append(
            {
                "step": step,
                "rule": rule,
                "samples_before": samples,
                "samples_after": left[0],
                "variants_before": variants,
                "variants_after": left[1],
            }
        )

    def drop_samples(self, step: str, rule: str, bad: NDArray[np.bool_]) -> None:
        """Take out the samples marked in `bad`."""
        before = int(self.samples_left.sum()), int(self.variants_left.sum())
        for row in np.flatnonzero(bad & self.samples_left):
            self.samples_by[row] = step
        self.samples_left &= ~bad
        self._step(step, rule, *before)

    def drop_variants(self, step: str, rule: str, bad: NDArray[np.bool_]) -> None:
        """Take out the variants marked in `bad`."""
        before = int(self.samples_left.sum()), int(self.variants_left.sum())
        for row in np.flatnonzero(bad & self.variants_left):
            self.variants_by[row] = step
        self.variants_left &= ~bad
        self._step(step, rule, *before)


def _sex_conflicts(people: pl.DataFrame, sex: dict[str, str]) -> NDArray[np.bool_]:
    f = people["x_f_het"].fill_null(float("nan")).to_numpy()
    said = np.array([sex.get(name, "") for name in people["sample"]])
    return ((said == "male") & (f < 0.2)) | ((said == "female") & (f > 0.8))


def _one_of_each_pair(related: pl.DataFrame, missing: dict[str, float]) -> set[str]:
    """Return whom to leave out so that no pair is left: the most related first."""
    pairs = list(zip(related["sample_1"], related["sample_2"], strict=True))
    gone: set[str] = set()
    while pairs:
        count: dict[str, int] = {}
        for pair in pairs:
            for name in pair:
                count[name] = count.get(name, 0) + 1
        worst = max(count, key=lambda name: (count[name], missing[name], name))
        gone.add(worst)
        pairs = [pair for pair in pairs if worst not in pair]
    return gone
