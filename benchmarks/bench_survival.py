"""Survival interactions, a variant at a time, beside R's survival package and lifelines.

Run: python benchmarks/bench_survival.py [--people 2000] [--variants 200] [--covariates 10]
Prints milliseconds a variant on one thread; all must give the same estimates and p-values of the
product. Needs ``Rscript`` with the package survival; lifelines is timed where it is installed.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from radgen.associate import gwas
from radgen.types import ArrayDosages, GenotypeMatrix

COXPH = """
library(survival)
d <- read.csv("table.csv"); g <- as.matrix(read.csv("calls.csv"))
x <- as.matrix(d[, grep("^x", names(d))]); y <- Surv(d$time, d$event)
begun <- proc.time()[["elapsed"]]
out <- t(apply(g, 2, function(v) {
  fit <- coxph(y ~ x + d$arm + v + d$arm:v)
  k <- length(coef(fit)); c(coef(fit)[[k]], sqrt(vcov(fit)[k, k]))
}))
cat(proc.time()[["elapsed"]] - begun)
write.csv(out, "coxph.csv", row.names = FALSE)
"""


def cohort(n: int, m: int, k: int) -> tuple[GenotypeMatrix, np.ndarray, pl.DataFrame]:
    """Return genotypes, dosages, and a table of times, events, treatment and covariates."""
    rng = np.random.default_rng(4)
    calls = rng.binomial(2, rng.uniform(0.05, 0.5, m)[:, None], (m, n)).astype(np.float32)
    rows = {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    genotypes = GenotypeMatrix(tuple(f"s{i}" for i in range(n)), variants, ArrayDosages(calls))
    x, arm = rng.normal(size=(n, k)), rng.integers(0, 2, n).astype(float)
    died = rng.exponential(size=n) / np.exp(0.3 * x[:, 0] - 0.4 * arm)
    left = rng.exponential(size=n) * 1.5
    columns = {"sample": genotypes.samples, "time": np.minimum(died, left)}
    columns |= {"event": (died <= left) * 1.0, "arm": arm} | {f"x{j}": x[:, j] for j in range(k)}
    return genotypes, calls, pl.DataFrame(columns)


def lifelines_rate(table: pl.DataFrame, calls: np.ndarray) -> tuple[float, np.ndarray]:
    """Return milliseconds a variant of lifelines, and estimates and standard errors."""
    from lifelines import CoxPHFitter

    frame, found = table.drop("sample").to_pandas(), []
    begin = time.perf_counter()
    for row in calls:
        frame["g"], frame["product"] = row.astype(float), row * frame["arm"]
        fit = CoxPHFitter().fit(frame, "time", "event")
        found.append((fit.params_["product"], fit.standard_errors_["product"]))
    return 1e3 * (time.perf_counter() - begin) / len(calls), np.array(found)


def main() -> None:
    """Print a line a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--variants", type=int, default=200)
    parser.add_argument("--covariates", type=int, default=10)
    options = parser.parse_args()
    n, m = options.people, options.variants
    genotypes, calls, table = cohort(n, m, options.covariates)
    beside = table.drop("time", "event")
    best = np.inf
    with threadpool_limits(1):
        for _ in range(3):
            begin = time.perf_counter()
            ours = gwas(
                genotypes, table.select("sample", "time", "event"), beside,
                model="cox", traits=["time"], event="event", interaction="arm", jobs=1,
            ).frame  # fmt: skip
            best = min(best, 1e3 * (time.perf_counter() - begin) / m)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table.drop("sample").write_csv(folder / "table.csv")
        pl.DataFrame({f"g{j}": row.astype(int) for j, row in enumerate(calls)}).write_csv(
            folder / "calls.csv"
        )
        said = subprocess.run(
            ["Rscript", "-e", COXPH], cwd=folder, check=True, capture_output=True, text=True
        )
        theirs = 1e3 * float(said.stdout) / m
        coxph = pl.read_csv(folder / "coxph.csv").to_numpy()
    print(f"{n:,} people, {m} variants, {options.covariates + 1} covariates, one thread:")
    print(f"  radgen {best:.2f} ms a variant")
    rows = [("coxph", theirs, coxph, m)]
    try:
        few = min(m, 20)
        rows.append(("lifelines", *lifelines_rate(table, calls[:few]), few))
    except ImportError:
        print("  lifelines is not installed")
    for name, each, found, count in rows:
        mine = ours.select("beta", "se").to_numpy()[:count]
        gap = float(np.abs(mine / found - 1).max())
        print(f"  {name} {each:.2f} ms, ratio {each / best:.1f}, largest difference {gap:.0e}")
        if gap > 1e-4:
            raise SystemExit(f"{name} finds other values.")


if __name__ == "__main__":
    main()
