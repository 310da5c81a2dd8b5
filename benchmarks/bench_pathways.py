"""Time of gene-set scores, as a ratio to gseapy in the same run.

    python benchmarks/bench_pathways.py --peer PYTHON     # an interpreter that has gseapy
    python benchmarks/bench_pathways.py                   # radgen alone, up to 5,000 sets

Both sides score the same matrix on one thread; the scores are compared before a time is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from radgen.omics import GeneSetScorer, GsvaScorer, PlageScorer, SingScorer, SsgseaScorer
from radgen.types import OmicsTable

PEER = """
import json, sys, time
import gseapy, numpy as np, pandas as pd
folder, method = sys.argv[1:3]
values = np.load(folder + "/x.npy")
sets = json.load(open(folder + "/sets.json"))
genes = [f"g{j}" for j in range(values.shape[1])]
data = pd.DataFrame(values.T, index=genes, columns=[f"s{i}" for i in range(len(values))])
start = time.perf_counter()
if method == "ssgsea":
    found = gseapy.ssgsea(data=data, gene_sets=sets, outdir=None, min_size=1, max_size=10**6,
                          threads=1).res2d
    column = "NES"
else:
    found = gseapy.gsva(data=data, gene_sets=sets, outdir=None, min_size=1, max_size=10**6,
                        threads=1).res2d
    column = "ES"
spent = time.perf_counter() - start
wide = found.pivot(index="Name", columns="Term", values=column).astype(float)
wide = wide.loc[data.columns, list(sets)]
np.save(folder + "/peer.npy", wide.to_numpy())
print(spent)
"""


def made(n: int, p: int, k: int, seed: int = 0) -> tuple[OmicsTable, dict[str, list[str]]]:
    """Return random expression and random sets of 15 to 200 genes."""
    rng = np.random.default_rng(seed)
    genes = [f"g{j}" for j in range(p)]
    values = rng.standard_normal((n, p)) * rng.uniform(0.5, 2, p) + rng.normal(6, 2, p)
    sets = {
        f"S{i}": [genes[j] for j in rng.choice(p, rng.integers(15, 200), replace=False)]
        for i in range(k)
    }
    return OmicsTable([f"s{i}" for i in range(n)], genes, values, "expression", "log2"), sets


def against_peer(peer: str, n: int, p: int, k: int) -> None:
    """Print times of both sides at one size."""
    table, sets = made(n, p, k)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", table.values)
        (Path(folder) / "sets.json").write_text(json.dumps(sets))
        for method, scorer, near in (
            ("ssgsea", SsgseaScorer(sets), 1e-9),
            ("gsva", GsvaScorer(sets), 0.05),
        ):
            start = time.perf_counter()
            mine = scorer.fit_transform(table).values
            spent = time.perf_counter() - start
            command = [peer, "-c", PEER, folder, method]
            other = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            gap = np.abs(mine - np.load(Path(folder) / "peer.npy"))
            assert gap.max() < near, (method, gap.max())
            print(
                f"{method:7} {n} x {p} x {k} sets: {spent:7.2f} s, gseapy {other:7.2f} s, "
                f"{other / spent:5.1f} times; largest difference {gap.max():.1e}, "
                f"median {np.median(gap):.1e}",
                flush=True,
            )


def alone(n: int, p: int, k: int) -> None:
    """Print the times of all scorers at one size."""
    table, sets = made(n, p, k)
    for scorer in (GeneSetScorer, SsgseaScorer, SingScorer, PlageScorer, GsvaScorer):
        start = time.perf_counter()
        scorer(sets).fit_transform(table)
        spent = time.perf_counter() - start
        print(f"{scorer.__name__:14} {n} x {p} x {k} sets: {spent:6.2f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="interpreter that has gseapy")
    asked = parser.parse_args()
    if asked.peer:
        against_peer(asked.peer, 100, 20_000, 50)
        against_peer(asked.peer, 100, 20_000, 500)
    for n_sets in (50, 5_000):
        alone(500, 20_000, n_sets)
