"""Coverage of 95 % intervals of heritability and genetic correlation in simulations.

Run: python verification/heritability_coverage.py [--draws 400]
Prints a row per estimator and truth: mean estimate, coverage, and the band 95 % +/- 4 standard
errors; exit code 1 where a coverage lies below its band (above is allowed at the edge of the
range only, where limits are cut), or a null test rejects too often at 5 %.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import polars as pl

from radgen.associate import (
    family_heritability,
    genetic_correlation,
    heritability,
    twin_heritability,
)
from radgen.genome import pedigree_kinship
from radgen.types import Kinship

FAMILY = (
    ("a", "", ""), ("b", "", ""), ("c", "a", "b"), ("d", "a", "b"), ("e", "", ""), ("f", "c", "e"),
    ("g", "c", "e"), ("h", "", ""), ("i", "h", "d"),
)  # fmt: skip


def families(n: int) -> pl.DataFrame:
    """Families of three generations."""
    rows = [
        (f"{name}{at}", father and f"{father}{at}", mother and f"{mother}{at}")
        for at in range(n)
        for name, father, mother in FAMILY
    ]
    return pl.DataFrame(rows, schema=["sample", "father", "mother"], orient="row")


def twins(rng: np.random.Generator, n: int, a2: float, c2: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of trait values, first half identical; and whether they are."""
    identical = np.arange(n) < n // 2
    r = np.where(identical, a2 + c2, a2 / 2 + c2)[:, None]
    shared, own = rng.normal(size=(n, 1)), rng.normal(size=(n, 2))
    return np.sqrt(r) * shared + np.sqrt(1 - r) * own, identical


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    draws = options.draws
    pedigree = families(60)
    kinship = pedigree_kinship(pedigree)
    names = list(kinship.samples)
    n = len(names)
    root = np.linalg.cholesky(kinship.values + 1e-9 * np.eye(n))
    low = 0.95 - 4 * np.sqrt(0.95 * 0.05 / draws)
    null_top = 0.05 + 4 * np.sqrt(0.05 * 0.95 / draws)
    failed = False

    def report(what: str, truth: float, frame: pl.DataFrame, columns: tuple[str, ...]) -> None:
        nonlocal failed
        value, left, right, p = columns
        good = frame.filter(pl.col("status") == "ok")
        inside = good.filter((pl.col(left) <= truth) & (pl.col(right) >= truth)).height
        share = inside / max(good.height, 1)
        rejected = good.filter(pl.col(p) < 0.05).height / max(good.height, 1)
        bad = share < low or (truth == 0 and rejected > null_top)
        failed |= bad
        mean = float(good[value].mean() or 0.0)
        print(
            f"{what:34s}  {truth:5.2f}  {mean:6.3f}  {share:8.3f}  {low:6.3f}  {rejected:8.3f}"
            f"  {good.height:5d}{'  outside' if bad else ''}"
        )

    print(f"{'estimator':34s}  truth    mean  coverage   least  p < 0.05  draws")
    plain = ("h2", "ci_low", "ci_high", "p")
    for truth in (0.0, 0.3, 0.7):
        genes = root @ rng.normal(size=(n, draws))
        y = np.sqrt(truth) * genes + np.sqrt(1 - truth) * rng.normal(size=(n, draws))
        table = pl.DataFrame({"sample": names} | {f"y{j}": y[:, j] for j in range(draws)})
        report("polygenic model, ML", truth, family_heritability(table, pedigree).frame, plain)
        matrix = Kinship(tuple(names), kinship.values)
        report("REML, kinship", truth, heritability(table, matrix).frame, plain)
        report("Haseman-Elston", truth, heritability(table, matrix, method="he").frame, plain)
    for a2, c2 in ((0.0, 0.3), (0.4, 0.2), (0.6, 0.0)):
        n_pairs = 600
        sets = [twins(rng, n_pairs, a2, c2) for _ in range(draws)]
        people = [f"{pair}{who}" for pair in range(n_pairs) for who in "ab"]
        frame = {"sample": people} | {f"y{j}": y.ravel() for j, (y, _) in enumerate(sets)}
        mark = {
            "sample": people,
            "pair": np.repeat(np.arange(n_pairs), 2),
            "zygosity": np.repeat(np.where(sets[0][1], "MZ", "DZ"), 2),
        }
        found = twin_heritability(pl.DataFrame(frame), pl.DataFrame(mark)).frame
        report(f"twins, a2 (c2 = {c2})", a2, found, ("a2", "a2_low", "a2_high", "a2_p"))
        report(f"twins, c2 (a2 = {a2})", c2, found, ("c2", "c2_low", "c2_high", "c2_p"))
    for rg in (0.0, 0.6):
        g = 0.6 * np.array([[1.0, rg], [rg, 1.0]])
        both = np.linalg.cholesky(g)
        columns: dict[str, np.ndarray] = {}
        for draw in range(draws):
            genes = root @ rng.normal(size=(n, 2)) @ both.T
            y = genes + np.sqrt(0.4) * rng.normal(size=(n, 2))
            columns |= {f"a{draw}": y[:, 0], f"b{draw}": y[:, 1]}
        table = pl.DataFrame({"sample": names} | columns)
        pairs = [(f"a{draw}", f"b{draw}") for draw in range(draws)]
        matrix = Kinship(tuple(names), kinship.values)
        limits = ("rg", "ci_low", "ci_high", "p")
        found = genetic_correlation(table, matrix, pairs=pairs).frame
        report("genetic correlation, REML", rg, found, limits)
        found = genetic_correlation(table, matrix, pairs=pairs, method="he").frame
        report("genetic correlation, HE", rg, found, limits)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
