"""All features of one image beside MIRP and Pictologics, in the same run, values compared.

    python benchmarks/bench_peers.py --mirp PYTHON --pictologics PYTHON [--voxels 2e5 2.1e6]

Each peer runs in an environment of its own (``pip install mirp``; ``pip install pictologics``,
Python >= 3.12) on the same files: synthetic noise with a ball in it, 32 bins, 3D. Times are the
least of several runs in one process, reading the files included; the peer's import, which
compiles Pictologics for minutes after its installation, is printed apart.

Values agree where they differ by less than 1e-4 (MIRP computes in single precision). Named and
not counted are values for which the tools follow other definitions: Moran's I and Geary's C of
MIRP are estimates from a sample of voxels; the oriented box and the enclosing ellipsoid of
Pictologics are approximations; the standard has no agreed area under the IVH curve.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from bench_features import synthetic

from radgen.features import ExtractionSettings, extract
from radgen.io import read_image, read_masks

MIRP = """
import json, resource, sys, time, logging, warnings
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
begin = time.perf_counter()
import mirp
loaded = time.perf_counter() - begin
spatial = {f"{name}_spatial_method": "3d_volume_merge" for name in ("glcm", "glrlm")}
spatial |= {f"{name}_spatial_method": "3d" for name in ("glszm", "gldzm", "ngtdm", "ngldm")}
best = float("inf")
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    (table,) = mirp.extract_features(
        image=sys.argv[1], mask=sys.argv[2], base_feature_families="all",
        base_discretisation_method="fixed_bin_number", base_discretisation_n_bins=32, **spatial)
    best = min(best, time.perf_counter() - start)
values = {k: float(v) for k, v in table.iloc[0].items() if isinstance(v, float)}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"time": best, "import": loaded, "memory": peak, "values": values}))
"""
PICTOLOGICS = """
import json, resource, sys, time
begin = time.perf_counter()
from pictologics import RadiomicsPipeline
loaded = time.perf_counter() - begin
pipeline = RadiomicsPipeline(load_standard=False)
families = ["intensity", "morphology", "texture", "histogram", "ivh"]
pipeline.add_config("x", [
    {"step": "discretise", "params": {"method": "FBN", "n_bins": 32}},
    {"step": "extract_features", "params": {
        "families": families, "include_spatial_intensity": True,
        "include_local_intensity": True}}])
best = float("inf")
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    found = pipeline.run(sys.argv[1], sys.argv[2], config_names=["x"])["x"]
    best = min(best, time.perf_counter() - start)
values = {k: float(v) for k, v in found.items()}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"time": best, "import": loaded, "memory": peak, "values": values}))
"""
OTHER = {
    "MIRP": {"N365", "NPT7"},
    "Pictologics": {"ZH1A", "IQYR", "SWZ1", "BRI8", "9CMM"},
}
# The manual prints one code for several features of these kinds (percentiles, IVH).
SHARED = {"GPMT", "DDTU", "CNV2", "GBPN", "BC2M"}
# The reference tables of IBSI name features as MIRP does, but for these.
ENDINGS = ("_3D_comb", "_3D")
PARTS = {"_d1": "", "_a0.0": "", "_3d_v_mrg": "", "_3d": "", "_fbn_n32": ""}


def run_peer(python: str, program: str, files: tuple[str, str], repeats: int) -> dict:
    """Return time, memory and values of a peer in a process of its own."""
    done = subprocess.run(
        [python, "-c", program, *files, str(repeats)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def codes_of_tags() -> dict[str, str]:
    """Return IBSI codes by the names of the reference tables, endings cut off."""
    path = Path(os.environ["RADGEN_DATA"]) / "ibsi/reference/ibsi1_reference_values.csv"
    out = {}
    with path.open() as stream:
        for row in csv.DictReader(stream):
            tag = row["tag"]
            for ending in ENDINGS:
                tag = tag.removesuffix(ending)
            out[tag] = row["ibsi_code"]
    return out


def mirp_code(name: str, codes: dict[str, str]) -> str:
    """Return the IBSI code of a column of MIRP, "" where it is no feature."""
    for part, other in PARTS.items():
        name = name.replace(part, other)
    return codes.get(name, "")


def unique(pairs: list[tuple[str, float]]) -> dict[str, float]:
    """Return values by code; codes that several features share are left out."""
    count = Counter(code for code, _ in pairs)
    return {
        code: value for code, value in pairs if code and count[code] == 1 and code not in SHARED
    }


def compare(name: str, mine: dict[str, float], theirs: dict[str, float]) -> bool:
    """Print how many values agree; return whether all do that are defined alike."""
    both = [code for code in theirs if code in mine]
    far = {
        code: (mine[code], theirs[code])
        for code in both
        if not np.isclose(mine[code], theirs[code], rtol=1e-4, atol=1e-6, equal_nan=True)
    }
    known = sorted(set(far) & OTHER[name])
    print(
        f"  {name}: {len(both) - len(far)} of {len(both)} values agree; other definitions: {known}"
    )
    for code, pair in far.items():
        if code not in OTHER[name]:
            print(f"    {code}: radgen {pair[0]:.8g}, {name} {pair[1]:.8g}")
    return not set(far) - OTHER[name] and len(both) > 100


def measure(n_voxels: float, peers: dict[str, tuple[str, str]], repeats: int) -> bool:
    """Time radgen and the peers on one region; return whether values agree."""
    import SimpleITK as sitk

    image, mask = synthetic(n_voxels)
    settings = ExtractionSettings(aggregations=("IAZD", "KOBO"))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        files = f"{folder}/image.nii", f"{folder}/mask.nii"
        for volume, path in zip((image, mask), files, strict=True):
            array = volume.array.astype(np.uint8 if volume is mask else np.int16)
            sitk.WriteImage(sitk.GetImageFromArray(array), path)

        def whole() -> pl.DataFrame:
            scan = read_image(files[0])
            return extract(scan, read_masks(files[1], reference=scan), settings=settings)

        best, table = float("inf"), whole()
        for _ in range(repeats):
            start = time.perf_counter()
            table = whole()
            best = min(best, time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        mine = unique(list(table.select("ibsi_code", "value").iter_rows()))
        print(f"\n{mask.n_voxels} voxels, {table.height} features")
        print(f"  {'':24}{'wall s':>8}{'ratio':>8}{'import s':>10}{'MB':>8}")
        print(f"  {'radgen (files to table)':24}{best:8.3f}{1.0:8.1f}{'':10}{peak:8.0f}")
        for name, (python, program) in peers.items():
            found = run_peer(python, program, files, 1 if name == "MIRP" else repeats)
            ratio = found["time"] / best
            print(
                f"  {name:24}{found['time']:8.3f}{ratio:8.1f}"
                f"{found['import']:10.1f}{found['memory']:8.0f}"
            )
            codes = codes_of_tags() if name == "MIRP" else {}
            pairs = [
                (mirp_code(key, codes) if codes else key.rsplit("_", 1)[-1], value)
                for key, value in found["values"].items()
            ]
            good &= compare(name, mine, unique(pairs))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirp", help="a Python interpreter that has MIRP")
    parser.add_argument("--pictologics", help="a Python interpreter that has Pictologics")
    parser.add_argument("--voxels", nargs="+", type=float, default=[2e5])
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    peers = {}
    if chosen.mirp:
        peers["MIRP"] = (chosen.mirp, MIRP)
    if chosen.pictologics:
        peers["Pictologics"] = (chosen.pictologics, PICTOLOGICS)
    results = [measure(n, peers, chosen.repeats) for n in chosen.voxels]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
