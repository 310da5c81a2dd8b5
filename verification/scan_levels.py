"""Level of genome-wide score tests and interactions where the normal law is far off.

Run: python verification/scan_levels.py [--variants 20000]
Null traits with few cases, events or members of the upper classes are scanned with rare variants:
the share of saddle-point p (and of approximate Firth) below each level must not exceed it by more
than chance and the tolerance below. Interactions are scanned where the spread of the trait differs
between arms: the sandwich must hold its level, and the model-based test must fail (a check that the
simulation is hard). Twenty null traits with covariates and missing values give lambda 1.00 +- 0.02.
Prints a table and exits with 1 on failure.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import polars as pl
from scipy import stats

from radgen.associate import gwas
from radgen.types import ArrayDosages, GenotypeMatrix

LEVELS = (1e-2, 1e-3, 1e-4)
EXCESS = 1.3
"""Rejections over the nominal level that are borne: the saddle point is an approximation."""


def matrix(rng: np.random.Generator, n: int, m: int, low: float, high: float) -> GenotypeMatrix:
    """Return genotypes of independent variants."""
    freq = rng.uniform(low, high, m)
    calls = np.empty((m, n), np.float32)
    for start in range(0, m, 1000):
        part = slice(start, start + 1000)
        calls[part] = rng.binomial(2, freq[part, None], calls[part].shape)
    rows = {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    return GenotypeMatrix(tuple(f"s{i}" for i in range(n)), variants, ArrayDosages(calls))


def line(name: str, log10p: np.ndarray, *, hard: bool = False) -> bool:
    """Print rejections over each level and return whether they are borne (`hard`: are not)."""
    p = 10.0 ** log10p[np.isfinite(log10p)]
    good, cells = True, []
    for level in LEVELS:
        count = int((p < level).sum())
        limit = stats.binom.ppf(0.9995, len(p), min(1.0, EXCESS * level))
        good &= count <= limit
        cells.append(f"{count / len(p) / level:7.2f}")
    print(f"{name:44s} {len(p):7d} {' '.join(cells)}  {'ok' if good != hard else 'FAILS'}")
    return bool(good != hard)


def rare(rng: np.random.Generator, m: int) -> list[bool]:
    """Return whether score tests of rare variants hold their level."""
    n = 2000
    genotypes = matrix(rng, n, m, 0.002, 0.01)
    x = rng.normal(size=(n, 2))
    names = {"sample": genotypes.samples}
    covariates = pl.DataFrame(names | {"a": x[:, 0], "b": x[:, 1]})
    risk = -3.2 + 0.5 * x[:, 0]
    case = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(float)
    latent = 0.5 * x[:, 0] + rng.logistic(size=n)
    grade = np.digitize(latent, np.quantile(latent, [0.9, 0.96, 0.99])).astype(float)
    time = rng.exponential(size=n) / np.exp(0.5 * x[:, 0])
    event = (rng.random(n) < 0.04).astype(float)
    table = pl.DataFrame(names | {"case": case, "grade": grade, "time": time, "event": event})
    out = []
    for name, model, options in (
        ("logistic score, saddle point", "logistic", {"test": "score", "traits": ["case"]}),
        ("logistic approximate Firth", "logistic", {"test": "approx-firth", "traits": ["case"]}),
        ("ordinal score, saddle point", "ordinal", {"traits": ["grade"]}),
        ("Cox score, saddle point", "cox", {"traits": ["time"], "event": "event"}),
    ):
        found = gwas(genotypes, table, covariates, model=model, **options).frame
        out.append(line(name, found["log10p"].to_numpy()))
        if "score" in name:
            normal = np.log10(2 * stats.norm.sf(np.abs(found["t"].to_numpy())))
            out.append(line("  the same, normal law (must fail)", normal, hard=True))
    return out


def spread(rng: np.random.Generator, m: int) -> list[bool]:
    """Return whether robust interactions hold their level under unequal spread."""
    n = 600
    genotypes = matrix(rng, n, m, 0.1, 0.5)
    arm = (rng.random(n) < 0.2).astype(float)
    y = rng.normal(size=n) * np.where(arm > 0, 3.0, 1.0)
    names = {"sample": genotypes.samples}
    inputs = genotypes, pl.DataFrame(names | {"y": y}), pl.DataFrame(names | {"arm": arm})
    robust = gwas(*inputs, interaction="arm", robust=True).frame
    plain = gwas(*inputs, interaction="arm").frame
    return [
        line("interaction, spread differs, robust", robust["log10p"].to_numpy()),
        line("joint test, spread differs, robust", robust["log10p_joint"].to_numpy()),
        line("  interaction, model-based (must fail)", plain["log10p"].to_numpy(), hard=True),
    ]


def inflation(rng: np.random.Generator, m: int) -> list[bool]:
    """Return whether lambda of 20 null traits is 1.00 +- 0.02."""
    n = 1000
    genotypes = matrix(rng, n, m, 0.05, 0.5)
    x = rng.normal(size=(n, 10))
    y = x @ rng.normal(size=(10, 20)) + rng.standard_t(5, size=(n, 20))
    y[rng.random(y.shape) < 0.03] = np.nan
    names = {"sample": genotypes.samples}
    traits = pl.DataFrame(names | {f"y{j}": y[:, j] for j in range(20)})
    covariates = pl.DataFrame(names | {f"c{j}": x[:, j] for j in range(10)})
    found = gwas(genotypes, traits, covariates).summary["lambda_gc"].to_numpy()
    # The median of m independent tests has this standard error; 20 traits are averaged.
    noise = np.sqrt(0.25 / m) / (stats.chi2.pdf(stats.chi2.ppf(0.5, 1), 1) * 0.4549)
    print(
        f"\nlambda of 20 null traits, {m} variants: mean {found.mean():.4f}, "
        f"{found.min():.3f} to {found.max():.3f} (standard error of one {noise:.3f})"
    )
    return [abs(found.mean() - 1) < 0.02, bool(np.abs(found - 1).max() < 0.02 + 3 * noise)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=20_000)
    m = parser.parse_args().variants
    rng = np.random.default_rng(20)
    print(f"{'rejections over the nominal level of':44s} {'tests':>7s}   1e-2    1e-3    1e-4")
    good = [*rare(rng, m), *spread(rng, m), *inflation(rng, m)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
