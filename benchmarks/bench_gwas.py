"""Wall time and memory of the linear scan as a ratio to PLINK 2, on the same files.

Run: python benchmarks/bench_gwas.py [--samples 10000] [--variants 100000] [--traits 1,10,100]
Each side is a whole process, hits at p < 1e-5 written to disk; both must name the same hits
with the same p within PLINK 2's printed digits. Needs ``plink2`` on the path.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

WORKER = """
import sys, time
begin = time.perf_counter()
from radgen.associate import gwas
from radgen.io import open_genotypes
from radgen.io.sample_table import read_sample_table
bed, traits, covariates, out = sys.argv[1:5]
data = open_genotypes(bed), read_sample_table(traits), read_sample_table(covariates)
ready = time.perf_counter() - begin
gwas(*data, threshold=1e-5, out=out)
import resource
print(f"{ready:.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}")
"""


def write_inputs(folder: Path, n: int, m: int, n_traits: int) -> None:
    """Write two filesets (complete; up to 4 % missing a variant), traits and covariates."""
    rng = np.random.default_rng(11)
    code = np.array([3, 2, 0], np.uint8)
    causal = []
    freq = rng.uniform(0.02, 0.5, m).astype(np.float32)
    streams = [(folder / f"{name}.bed").open("wb") for name in ("whole", "gaps")]
    for stream in streams:
        stream.write(b"\x6c\x1b\x01")
    for start in range(0, m, 1000):
        p = freq[start : start + 1000, None]
        u = rng.random((len(p), n), dtype=np.float32)
        calls = code[(u < p * p).astype(np.uint8) + (u < 2 * p - p * p)]
        if start < 3000:
            causal.append((u[::50] < p[::50] * p[::50]) * 1.0 + (u[::50] < (2 * p - p * p)[::50]))
        gaps = calls.copy()
        rate = rng.uniform(0, 0.04, (len(p), 1)).astype(np.float32)
        gaps[rng.random((len(p), n), dtype=np.float32) < rate] = 1
        for stream, block in zip(streams, (calls, gaps), strict=True):
            padded = np.zeros((len(block), -(-n // 4) * 4), np.uint8)
            padded[:, :n] = block
            quads = padded.reshape(len(block), -1, 4)
            packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
            stream.write(packed.astype(np.uint8).tobytes())
    for stream in streams:
        stream.close()
    for name in ("whole", "gaps"):
        (folder / f"{name}.bim").write_text(
            "".join(f"{1 + 22 * i // m}\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(m))
        )
        (folder / f"{name}.fam").write_text("".join(f"s{i} s{i} 0 0 1 -9\n" for i in range(n)))
    covariates = rng.normal(size=(n, 10))
    effects = np.concatenate(causal)
    traits = rng.normal(size=(n, n_traits)) + covariates[:, :3] @ rng.normal(size=(3, n_traits))
    traits += effects[rng.integers(len(effects), size=n_traits)].T * 0.12
    write_table(folder / "covariates.txt", covariates, "C")
    write_table(folder / "traits.txt", traits, "Y")


def write_table(path: Path, values: np.ndarray, letter: str) -> None:
    """Write a sample table that both programs read."""
    columns = {"#FID": [f"s{i}" for i in range(len(values))]}
    columns["IID"] = columns["#FID"]
    columns |= {f"{letter}{j}": values[:, j].round(6) for j in range(values.shape[1])}
    pl.DataFrame(columns).write_csv(path, separator="\t")


def best_of(command: list[str], repeats: int) -> tuple[float, str]:
    """Return the shortest wall time of a process, and its output."""
    times, text = [], ""
    for _ in range(repeats):
        begin = time.perf_counter()
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        times.append(time.perf_counter() - begin)
    return min(times), text


def check(folder: Path, found: Path, names: list[str]) -> tuple[int, float]:
    """Return the number of hits and the largest relative difference of p; raise if hits differ."""
    ours, worst, hits = pl.read_parquet(found), 0.0, 0
    for name in names:
        theirs = pl.read_csv(folder / f"plink.{name}.glm.linear", separator="\t")
        mine = ours.filter(pl.col("phenotype") == name)
        if mine["id"].to_list() != theirs["ID"].to_list():
            raise SystemExit(f"{name}: the two programs found different variants.")
        hits += mine.height
        if mine.height:
            difference = (mine["p"] / theirs["P"].cast(pl.Float64) - 1).abs().max()
            worst = max(worst, float(difference or 0.0))
    return hits, worst


def main() -> None:
    """Print one line a configuration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--traits", default="1,10,100")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    plink = shutil.which("plink2")
    if plink is None:
        raise SystemExit("plink2 is not on the path; there is nothing to compare with.")
    sizes = [int(item) for item in options.traits.split(",")]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_inputs(folder, options.samples, options.variants, max(sizes))
        whole = pl.read_csv(folder / "traits.txt", separator="\t")
        print(f"{options.samples} people x {options.variants} variants, 10 covariates, p < 1e-5")
        print("traits  plink2_s  radgen_s  ratio  gaps/whole  start_s  peak_MB  hits  max_dp")
        for size in sizes:
            names = [f"Y{j}" for j in range(size)]
            table = folder / f"traits{size}.txt"
            whole.select("#FID", "IID", *names).write_csv(table, separator="\t")
            glm = ["--pheno", str(table), "--covar", str(folder / "covariates.txt")]
            glm += ["--glm", "hide-covar", "--pfilter", "1e-5", "--out", str(folder / "plink")]
            theirs, _ = best_of([plink, "--bfile", str(folder / "whole"), *glm], options.repeats)
            ours, text = {}, ""
            for name in ("gaps", "whole"):
                out = folder / f"{name}.parquet"
                command = [sys.executable, "-c", WORKER, str(folder / f"{name}.bed"), str(table)]
                command += [str(folder / "covariates.txt"), str(out)]
                ours[name], text = best_of(command, options.repeats)
            start, peak = text.split()
            hits, worst = check(folder, folder / "whole.parquet", names)
            print(
                f"{size:6d}  {theirs:8.2f}  {ours['whole']:8.2f}  {theirs / ours['whole']:5.1f}"
                f"  {ours['gaps'] / ours['whole']:10.2f}  {float(start):7.2f}"
                f"  {int(peak) / 1024:7.0f}  {hits:4d}  {worst:.0e}"
            )


if __name__ == "__main__":
    main()
