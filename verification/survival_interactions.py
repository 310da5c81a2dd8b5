"""Level and power of genome-wide survival interactions.

Run: python verification/survival_interactions.py [--tests 20000]
Null: genotype, treatment and covariates act on the hazard, no product does. The share of Wald
p-values of the product below each level must not exceed it by more than chance and the tolerance
below, with many and with few events; the model without the variant's own effect must fail (a check
that the simulation is hard). A planted product is estimated without
bias and covered by 95 % intervals. Prints a table and exits with 1 on failure.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import polars as pl
from scipy import stats

from radgen.associate import gwas
from radgen.errors import FitError
from radgen.stats.cox import fit_cox
from radgen.types import ArrayDosages, GenotypeMatrix

LEVELS = (5e-2, 1e-2, 1e-3)
EXCESS = 1.2
"""Rejections over the nominal level that are borne: a Wald test is an approximation."""
TRAITS = 20


def cohort(
    rng: np.random.Generator, n: int, m: int, low: float
) -> tuple[GenotypeMatrix, np.ndarray]:
    """Return genotypes of m variants, of which each of `TRAITS` times has one that acts."""
    freq = rng.uniform(low, 0.5, m)
    calls = rng.binomial(2, freq[:, None], (m, n)).astype(np.float32)
    rows = {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    return GenotypeMatrix(tuple(f"s{i}" for i in range(n)), variants, ArrayDosages(calls)), calls


def people(
    rng: np.random.Generator,
    names: tuple[str, ...],
    acting: np.ndarray,
    rate: float,
    product: float,
) -> tuple[pl.DataFrame, pl.DataFrame, dict]:
    """Return times and events of each acting variant (n_traits, n), covariates, options."""
    n = len(names)
    x, arm = rng.normal(size=(n, 2)), rng.integers(0, 2, n).astype(float)
    columns: dict = {"sample": names}
    for at, g in enumerate(acting):
        hazard = np.exp(0.4 * x[:, 0] - 0.5 * arm + 0.4 * g + product * g * arm)
        time, stop = rng.exponential(size=n) / hazard, rng.exponential(size=n) * rate
        columns |= {f"t{at}": np.minimum(time, stop), f"e{at}": (time <= stop).astype(float)}
    covariates = pl.DataFrame({"sample": names, "arm": arm, "a": x[:, 0], "b": x[:, 1]})
    k = len(acting)
    options = {"traits": [f"t{i}" for i in range(k)], "event": [f"e{i}" for i in range(k)]}
    return pl.DataFrame(columns), covariates, options | {"model": "cox", "interaction": "arm"}


def line(name: str, p: np.ndarray, *, hard: bool = False) -> bool:
    """Print rejections over each level and return whether they are borne (`hard`: are not)."""
    known = p[np.isfinite(p)]
    good, cells = len(known) > 0.98 * len(p), []
    for level in LEVELS:
        count = int((known < level).sum())
        good &= count <= stats.binom.ppf(0.9995, len(known), EXCESS * level)
        cells.append(f"{count / len(known) / level:7.2f}")
    print(f"{name:52s} {len(known):6d} {' '.join(cells)}  {'ok' if good != hard else 'FAILS'}")
    return bool(good != hard)


def levels(rng: np.random.Generator, n_tests: int) -> list[bool]:
    """Return whether the product's tests hold their level."""
    out = []
    for what, n, rate, low in (
        ("1,000 people, about 60 % events", 1000, 1.5, 0.05),
        ("400 people, about 25 % events", 400, 0.35, 0.1),
    ):
        genotypes, calls = cohort(rng, n, TRAITS + n_tests // TRAITS, low)
        table, beside, options = people(rng, genotypes.samples, calls[:TRAITS], rate, 0.0)
        found = gwas(genotypes, table, beside, **options).frame
        out.append(line(f"product, {what}", found["p"].to_numpy()))
        out.append(line("  joint test, variants that do not act", _joint(found)))
    return out


def _joint(found: pl.DataFrame) -> np.ndarray:
    """Return the joint p of variants beside those that act on some trait."""
    still = found.filter(pl.col("pos") >= TRAITS)
    return 10.0 ** still["log10p_joint"].to_numpy()


def without_main(rng: np.random.Generator, repeats: int) -> list[bool]:
    """Return whether a model that leaves out the variant itself fails, and the right one holds."""
    n, wrong, right = 500, [], []
    for _ in range(repeats):
        genotypes, calls = cohort(rng, n, 1, 0.2)
        table, beside, options = people(rng, genotypes.samples, calls, 1.5, 0.0)
        right.append(gwas(genotypes, table, beside, **options).frame["p"][0])
        x = beside.drop("sample").to_numpy()
        design = np.column_stack([x, calls[0] * x[:, 0]])
        time, event = table["t0"].to_numpy(), table["e0"].to_numpy() > 0
        try:
            fit = fit_cox(design, time, event)
        except FitError:
            continue
        wrong.append(2 * stats.norm.sf(abs(fit.beta[-1] / fit.std_error[-1])))
    return [
        line("product of an acting variant", np.array(right)),
        line("  without its own effect (must fail)", np.array(wrong), hard=True),
    ]


def planted(rng: np.random.Generator, repeats: int) -> bool:
    """Return whether a planted product is found without bias and covered."""
    estimates, errors = [], []
    for _ in range(repeats):
        genotypes, calls = cohort(rng, 600, 1, 0.2)
        table, beside, options = people(rng, genotypes.samples, calls, 1.5, -0.5)
        row = gwas(genotypes, table, beside, **options).frame.row(0, named=True)
        estimates.append(row["beta"])
        errors.append(row["se"])
    beta, se = np.array(estimates), np.array(errors)
    noise = beta.std() / np.sqrt(len(beta))
    covered = (np.abs(beta + 0.5) < stats.norm.ppf(0.975) * se).mean()
    limit = 4 * np.sqrt(0.05 * 0.95 / len(beta))
    # Partial likelihood estimates are off by terms of the order 1 / events.
    good = abs(beta.mean() + 0.5) < 4 * noise + 0.02 and abs(covered - 0.95) < limit
    print(
        f"\nplanted -0.50: mean {beta.mean():.3f} (its error {noise:.3f}), "
        f"95 % intervals cover {100 * covered:.1f} %  {'ok' if good else 'FAILS'}"
    )
    return bool(good)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=20_000)
    m = parser.parse_args().tests
    rng = np.random.default_rng(31)
    print(f"{'rejections over the nominal level of':52s} {'tests':>6s}   5e-2    1e-2    1e-3")
    good = [*levels(rng, m), *without_main(rng, m // 10), planted(rng, m // 10)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
