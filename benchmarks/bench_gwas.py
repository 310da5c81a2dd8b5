"""Wall time and memory of scans as a ratio to PLINK 2, on the same files.

Run: python benchmarks/bench_gwas.py [--samples 10000] [--variants 100000] [--traits 1,10,100,1000]
    [--parts scan,cold,store,binary,rare]
Each side is a whole process, hits at p < 1e-5 written to disk. In `scan` both must name the same
hits with the same p within PLINK 2's printed digits; with 1,000 traits PLINK 2 runs a twentieth of
the variants, a binary trait a tenth, and its time is scaled. `gaps` has up to 4 % missing calls a
variant; it and the complete fileset are scanned in turn, and the processors' time is compared
(`busy`) beside the wall, which other processes stretch. `cold` repeats that with the files out of
the memory of the system. Files are written through to the disk before anything is timed. `start`
stands beside the time that Python takes to load NumPy alone. The rate of a scan is 2 x people x
variants x (traits + covariates) over its wall time, as a share of this machine's own product in
single precision; it may exceed 100 where the processor multiplies genotypes as whole numbers. Needs
``plink2`` on the path.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

WORKER = """
import sys, time
begun = float(sys.argv[1])
from contextlib import contextmanager
from radgen._core.progress import use_progress
@contextmanager
def first_block(what, total):
    if what == "Scanning variants":
        print("start", time.time() - begun)
    yield lambda n: None
from radgen.cli import main
sys.argv = ["radgen", "gwas", *sys.argv[2:]]
with use_progress(first_block):
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
import resource
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
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


def timed(command: list[str], repeats: int) -> tuple[float, str]:
    """Return the shortest wall time of a process, and its output."""
    best, text = np.inf, ""
    # Installed packages are compiled; a setting that forbids it here would be timed with them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(repeats):
        begin = time.perf_counter()
        out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
        if time.perf_counter() - begin < best:
            best, text = time.perf_counter() - begin, out
    return float(best), text


@dataclass(frozen=True, slots=True)
class Cost:
    """Least wall, processor and starting seconds of some runs, and the peak memory in MB."""

    wall: float = np.inf
    busy: float = np.inf
    start: float = np.inf
    peak: float = np.inf

    def least(self, other: Cost) -> Cost:
        """Return the least of both."""
        return Cost(*map(min, astuple(self), astuple(other)))


def radgen(folder: Path, repeats: int, **options: str | Path) -> Cost:
    """Return what a scan costs at least."""
    arguments = [item for name, value in options.items() for item in (f"--{name}", str(value))]
    best = Cost()
    for _ in range(repeats):
        shutil.rmtree(folder / "store", ignore_errors=True)
        command = [sys.executable, "-c", WORKER, str(time.time()), *arguments]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall, text = timed(command, 1)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        words = text.split()
        start, peak = (float(words[words.index(name) + 1]) for name in ("start", "peak"))
        best = best.least(Cost(wall, busy, start, peak))
    return best


def both(folder: Path, size: int, repeats: int, *, cold: bool = False) -> dict[str, Cost]:
    """Return what scans of the fileset with gaps and of the whole one cost, run in turn."""
    found = {"gaps": Cost(), "whole": Cost()}
    for _ in range(repeats):
        for name, cost in found.items():
            if cold:
                forget(folder / f"{name}.bed")
            files = {"genotypes": folder / f"{name}.bed", "out": folder / f"{name}.parquet"}
            files |= {"phenotypes": folder / f"traits{size}.txt"}
            files |= {"covariates": folder / "covariates.txt"}
            found[name] = cost.least(radgen(folder, 1, threshold="1e-5", **files))
    return found


def forget(path: Path) -> None:
    """Take a file out of the system's memory, so that it is read from the disk again."""
    os.sync()
    place = os.open(path, os.O_RDONLY)
    os.posix_fadvise(place, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(place)


def plink(folder: Path, traits: Path, repeats: int, *more: str) -> float:
    """Return PLINK 2's wall time."""
    covariates = str(folder / "covariates.txt")
    command = ["plink2", "--bfile", str(folder / "whole"), "--pheno", str(traits)]
    command += ["--covar", covariates, *more, "--out", str(folder / "plink")]
    return timed(command, repeats)[0]


def gemm_rate() -> float:
    """Return this machine's single-precision matrix products, flops a second."""
    a = np.ones((4096, 4096), np.float32)
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - begin)
    return float(2 * 4096**3 / min(times))


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


def scans(folder: Path, sizes: list[int], options: argparse.Namespace) -> None:
    """Print a line a number of traits."""
    alone = timed([sys.executable, "-c", "import numpy"], 8)[0]
    print(f"Python loads NumPy in {alone:.2f} s")
    print("traits  plink2_s  radgen_s  ratio  gaps/whole  busy  start_s", end="")
    print("  peak_MB  gemm_%  hits  max_dp")
    n, m = options.samples, options.variants
    flops = gemm_rate()
    for size in sizes:
        table = folder / f"traits{size}.txt"
        ours = both(folder, size, options.repeats)
        share = 20 if size >= 1000 else 1
        few = [] if share == 1 else ["--extract", str(folder / "few20.txt")]
        glm = ["--glm", "hide-covar", "--pfilter", "1e-5"]
        theirs = plink(folder, table, options.repeats, *few, *glm) * share
        names = [f"Y{j}" for j in range(size)]
        same = check(folder, folder / "whole.parquet", names) if share == 1 else (-1, np.nan)
        gaps, whole = ours["gaps"], ours["whole"]
        # Another process at the wrong moment would make the machine seem slow.
        flops = max(flops, gemm_rate())
        rate = 100 * 2.0 * n * m * (size + 11) / whole.wall / flops
        print(
            f"{size:6d}  {theirs:8.2f}  {whole.wall:8.2f}  {theirs / whole.wall:5.1f}"
            f"  {gaps.wall / whole.wall:10.2f}  {gaps.busy / whole.busy:4.2f}  {whole.start:7.2f}"
            f"  {whole.peak:7.0f}  {rate:6.0f}  {same[0]:4d}  {same[1]:.0e}"
        )


def cold_scans(folder: Path, sizes: list[int], options: argparse.Namespace) -> None:
    """Print a line a number of traits: what missing calls cost when files come from the disk."""
    print("\nread from the disk   traits  whole_s  gaps/whole  busy")
    for size in sizes:
        ours = both(folder, size, options.repeats, cold=True)
        gaps, whole = ours["gaps"], ours["whole"]
        print(
            f"{size:27d}  {whole.wall:7.2f}  {gaps.wall / whole.wall:10.2f}"
            f"  {gaps.busy / whole.busy:4.2f}"
        )


def stores(folder: Path, size: int, options: argparse.Namespace) -> None:
    """Print bytes and tests a second of the compact store, beside a screened scan."""
    files = {
        "genotypes": folder / "whole.bed",
        "phenotypes": folder / f"traits{size}.txt",
        "covariates": folder / "covariates.txt",
    }
    bare = radgen(folder, 1, threshold="1e-5", out=folder / "bare.parquet", **files)
    out = folder / "store"
    kept = radgen(folder, options.repeats, layout="compact", out=out, **files)
    tests = options.variants * size
    bytes_each = sum(item.stat().st_size for item in out.iterdir()) / tests
    print(f"\nall {tests:,} tests stored: {kept.wall:.2f} s, {kept.peak:.0f} MB peak", end="")
    print(f", {bytes_each:.2f} bytes a test, {tests / kept.wall / 1e6:.1f} M tests/s", end="")
    print(f" ({kept.wall / bare.wall:.2f} times the scan that keeps hits)")


def binary(folder: Path, options: argparse.Namespace) -> None:
    """Print the ratio for a binary trait: scores with saddle points against PLINK 2's hybrid."""
    table = folder / "cases.txt"
    whole = pl.read_csv(folder / "traits1.txt", separator="\t")
    case = pl.col("Y0") > pl.col("Y0").quantile(0.8)
    whole.select("#FID", "IID", case.cast(pl.Int32).alias("D") + 1).write_csv(table, separator="\t")
    few = ["--extract", str(folder / "few10.txt"), "--covar-variance-standardize"]
    theirs = 10 * plink(folder, table, 1, *few, "--glm", "firth-fallback", "hide-covar")
    ours = radgen(
        folder,
        options.repeats,
        genotypes=folder / "whole.bed",
        phenotypes=table,
        covariates=folder / "covariates.txt",
        model="logistic",
        test="score",
        threshold="1e-5",
        out=folder / "cases.parquet",
    )
    print(f"\nbinary trait: plink2 {theirs:.1f} s, radgen {ours.wall:.2f} s", end="")
    print(f" ({options.variants / ours.wall:,.0f} tests/s), ratio {theirs / ours.wall:.0f}")


def best_of(task: Callable[[], np.ndarray], repeats: int = 10) -> tuple[np.ndarray, float]:
    """Return what a task computes, and its shortest time."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        found = task()
        best = min(best, time.perf_counter() - begin)
    return found, best


def sparse_product(source: Any, weights: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the products of a block of rare variants, from the carriers."""
    return source.product(weights, totals, np.matmul).product


def dense_product(source: Any, weights: np.ndarray) -> np.ndarray:
    """Return the products of a block as decoded rows times a matrix."""
    return source.centred(np.float32).g @ weights


def rare(folder: Path, options: argparse.Namespace) -> None:
    """Print the time of the sparse kernel beside decoding and multiplying whole rows."""
    from threadpoolctl import threadpool_limits

    from radgen.genome._blocks import BlockSource
    from radgen.io.plink import BedReader

    rng = np.random.default_rng(3)
    n, m = options.samples, 800
    bed = BedReader("", n, m)
    raw = np.full((m, bed.stride), 255, np.uint8)
    carriers = [rng.choice(n, rng.binomial(2 * n, 0.001), replace=False) for _ in range(m)]
    for row, at in zip(raw, carriers, strict=True):
        np.bitwise_and.at(row, at // 4, (~(1 << (2 * (at % 4)))).astype(np.uint8))
    print("\nallele frequency 0.1 %   traits  sparse_us  dense_us  ratio  max_difference")
    with threadpool_limits(1):
        for size in (1, 10, 100):
            weights = rng.normal(size=(n, size + 11)).astype(np.float32) / np.float32(np.sqrt(n))
            totals = weights.sum(axis=0).astype(float)
            source = BlockSource(0, raw, bed)
            sparse, short = best_of(partial(sparse_product, source, weights, totals))
            dense, long = best_of(partial(dense_product, source, weights))
            worst = np.abs(sparse - dense).max()
            each = {"sparse": 1e6 * short / m, "dense": 1e6 * long / m}
            print(
                f"{size:30d}  {each['sparse']:9.2f}  {each['dense']:8.2f}"
                f"  {each['dense'] / each['sparse']:5.1f}  {worst:.0e}"
            )


def main() -> None:
    """Print the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--traits", default="1,10,100,1000")
    parser.add_argument("--parts", default="scan,store,binary,rare")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", help="where input files are, or are to be left")
    options = parser.parse_args()
    if shutil.which("plink2") is None:
        raise SystemExit("plink2 is not on the path; there is nothing to compare with.")
    sizes = [int(item) for item in options.traits.split(",")]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(options.folder or place)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "few20.txt").exists():
            prepare(folder, sizes, options)
            os.sync()
        print(f"{options.samples} people x {options.variants} variants, 10 covariates, p < 1e-5")
        parts = options.parts.split(",")
        if "scan" in parts:
            scans(folder, sizes, options)
        if "cold" in parts:
            cold_scans(folder, sizes, options)
        if "store" in parts:
            stores(folder, max(sizes), options)
        if "binary" in parts:
            binary(folder, options)
        if "rare" in parts:
            rare(folder, options)


def prepare(folder: Path, sizes: list[int], options: argparse.Namespace) -> None:
    """Write filesets, tables of traits, and lists of a tenth and a twentieth of the variants."""
    write_inputs(folder, options.samples, options.variants, max(sizes))
    whole = pl.read_csv(folder / "traits.txt", separator="\t")
    for size in {1, *sizes}:
        names = [f"Y{j}" for j in range(size)]
        whole.select("#FID", "IID", *names).write_csv(folder / f"traits{size}.txt", separator="\t")
    for share in (10, 20):
        names = [f"rs{i}\n" for i in range(0, options.variants, share)]
        (folder / f"few{share}.txt").write_text("".join(names))


if __name__ == "__main__":
    main()
