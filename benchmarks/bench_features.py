"""Time and peak memory of feature extraction, as a ratio to PyRadiomics in the same run.

    python benchmarks/bench_features.py --peer PYTHON     # an interpreter that has PyRadiomics
    python benchmarks/bench_features.py --scaling         # 10^3 … 10^7 voxels, 8 … 256 levels
    python benchmarks/bench_features.py --parts           # each part of 2.1 million voxels

The peer builds in an environment of its own with numpy < 2:
``pip install "numpy<2" "setuptools<70" cython versioneer SimpleITK PyWavelets pykwalify`` and
``pip install --no-build-isolation pyradiomics==3.0.1``. Both sides measure the same image types
and classes, and every value is compared before a time is printed. Each time is the least of
several runs; processor time counts all threads and holds on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from radgen.features import ExtractionSettings, extract, feature_maps
from radgen.features._splitting import choose
from radgen.features.local_intensity import _ball_rows
from radgen.features.maps import MAP_FAMILIES
from radgen.features.pyradiomics import RadiomicsFeatureExtractor
from radgen.features.settings import Discretisation
from radgen.image import bounding_box
from radgen.types import Geometry, ImageVolume, Mask

LOG_SIGMA = [1.0, 2.0, 3.0, 4.0, 5.0]
FULL = {
    "imageType": {"Original": {}, "LoG": {"sigma": LOG_SIGMA}, "Wavelet": {}},
    "setting": {"binCount": 32, "additionalInfo": False},
}
ORIGINAL = {"imageType": {"Original": {}}, "setting": {"binCount": 32, "additionalInfo": False}}
SAME_SET = (
    "morphology",
    "intensity_statistics",
    "intensity_histogram",
    "glcm",
    "glrlm",
    "glszm",
    "ngtdm",
    "ngldm",
)
FILTERS = (
    {"filter": "wavelet", "band": "all"},
    *({"filter": "log", "sigma_mm": sigma} for sigma in LOG_SIGMA),
)
PEER = """
import json, resource, sys, time
from radiomics import featureextractor, setVerbosity
setVerbosity(60)
image, mask, parameters, repeats = sys.argv[1:5]
parameters, repeats = json.loads(parameters), int(repeats)
extractor = featureextractor.RadiomicsFeatureExtractor(parameters)
best = float("inf")
work = best
for _ in range(repeats):
    start, begin = time.perf_counter(), time.process_time()
    found = extractor.execute(image, mask)
    best = min(best, time.perf_counter() - start)
    work = min(work, time.process_time() - begin)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
values = {key: float(value) for key, value in found.items() if not key.startswith("diagn")}
print(json.dumps({"time": [best, work], "memory": peak, "values": values}))
"""


def synthetic(n_voxels: float, *, seed: int = 0) -> tuple[ImageVolume, Mask]:
    """Return smooth noise with a ball of about `n_voxels` voxels in it."""
    from scipy.ndimage import gaussian_filter

    radius = np.cbrt(n_voxels * 3.0 / (4.0 * np.pi))
    n = int(2 * radius) + 22
    rng = np.random.default_rng(seed)
    values = gaussian_filter(rng.normal(size=(n, n, n)).astype(np.float32), 1.0) * 500
    values += rng.normal(size=values.shape).astype(np.float32) * 20
    geometry = Geometry.from_spacing(values.shape)
    line = (np.arange(n) - (n - 1) / 2 + 0.1) ** 2
    inside = line[:, None, None] + line[:, None] + line < radius**2
    # Whole numbers, as scanners store: the peer filters float32 images in single precision.
    return ImageVolume(np.rint(values), geometry), Mask(inside, geometry)


def best_of(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the least wall time and the least processor time of several calls in seconds."""
    best = work = float("inf")
    for _ in range(repeats):
        start, begin = time.perf_counter(), time.process_time()
        call()
        best = min(best, time.perf_counter() - start)
        work = min(work, time.process_time() - begin)
    return best, work


def peer_result(python: str, folder: Path, parameters: dict[str, Any], repeats: int) -> Any:
    """Return time, memory and values of PyRadiomics in a process of its own."""
    command = [python, "-c", PEER, str(folder / "image.nrrd"), str(folder / "mask.nrrd")]
    done = subprocess.run(
        [*command, json.dumps(parameters), str(repeats)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def different(mine: dict[str, float], theirs: dict[str, float]) -> list[str]:
    """Return the names of values that differ by more than 1e-6."""
    return [
        name
        for name, value in theirs.items()
        if not np.isclose(mine.get(name, np.nan), value, rtol=1e-6, atol=1e-9, equal_nan=True)
    ]


def compare(python: str, n_voxels: float, parameters: dict[str, Any], title: str) -> bool:
    """Print one comparison; return whether all values agree."""
    import SimpleITK as sitk

    image, mask = synthetic(n_voxels)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sitk.WriteImage(
            sitk.GetImageFromArray(image.array.astype(np.int16)), str(folder / "image.nrrd")
        )
        array = mask.array.astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / "mask.nrrd"))
        theirs = peer_result(python, folder, parameters, repeats=1)
        extractor = RadiomicsFeatureExtractor(parameters)
        files = folder / "image.nrrd", folder / "mask.nrrd"
        mine = extractor.execute(*files)
        profile = best_of(lambda: extractor.execute(*files), 3)
    wrong = different(mine, theirs["values"])
    settings = ExtractionSettings(
        families=SAME_SET,
        discretisation=Discretisation("number", 32),
        spatial_autocorrelation=False,
        enclosing_shapes=False,
        filters=FILTERS if len(parameters["imageType"]) > 1 else (),
    )
    native = best_of(lambda: extract(image, mask, settings=settings), 5)
    every = best_of(
        lambda: extract(image, mask, settings=ExtractionSettings(filters=settings.filters)), 2
    )
    peer = theirs["time"]
    print(f"\n{title}: {mask.n_voxels} voxels, {len(theirs['values'])} values, {len(wrong)} differ")
    print(f"  {'':30}{'wall s':>8}{'ratio':>8}{'cpu s':>8}{'ratio':>8}")
    for what, (wall, work) in (
        (f"PyRadiomics ({theirs['memory']:.0f} MB)", peer),
        ("radgen, pyradiomics profile", profile),
        ("radgen, ibsi, same classes", native),
        ("radgen, ibsi, all features", every),
    ):
        ratios = peer[0] / wall, peer[1] / work
        print(f"  {what:30}{wall:8.3f}{ratios[0]:8.1f}{work:8.3f}{ratios[1]:8.1f}")
    for name in wrong[:10]:
        print(f"    {name}: {mine.get(name)} and {theirs['values'][name]}")
    return not wrong


def scaling() -> None:
    """Print texture times from 10^3 to 10^7 voxels and 8 to 256 levels, and updates a second."""
    levels = (8, 16, 32, 64, 128, 256)
    print("Texture (GLCM, GLRLM, GLSZM, GLDZM, NGTDM, NGLDM), 3D, one thread, processor ms")
    print(f"{'voxels':>10}" + "".join(f"{n:>9}" for n in levels) + "   ns a voxel at 32")
    families = ("glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm")
    for power in range(3, 8):
        image, mask = synthetic(10.0**power)
        row = []
        for n in levels:
            settings = ExtractionSettings(
                families=families, discretisation=Discretisation("number", n)
            )
            call = partial(extract, image, mask, settings=settings, threads=1)
            row.append(best_of(call, 3 if power < 7 else 1)[1])
        cost = row[2] / mask.n_voxels * 1e9
        print(f"{mask.n_voxels:>10}" + "".join(f"{1e3 * t:9.1f}" for t in row) + f"{cost:12.0f}")
    # 13 directions x (1 co-occurrence + 1 run) + 13 zone tests + 2 x 26 neighbours.
    print("Count updates a voxel: 13 + 13 + 13 + 52 = 91")


def machine() -> tuple[float, float]:
    """Return bytes that one processor reads and single-precision products it adds, a second."""
    block = np.ones(1 << 26, np.float32)
    reading = block.nbytes / best_of(block.max, 5)[1]
    square = np.ones((1500, 1500), np.float32)
    return reading, 1500**3 / best_of(lambda: square @ square, 5)[1]


def parts() -> None:
    """Print what each part costs in a large region, and how fast it counts or computes."""
    image, mask = synthetic(2.1e6)

    def cost(*families: str, **chosen: bool) -> float:
        settings = ExtractionSettings(families=families, **chosen)
        return best_of(lambda: extract(image, mask, settings=settings, threads=1), 12)[1]

    off = {"spatial_autocorrelation": False, "enclosing_shapes": False}
    n, box = mask.n_voxels, [part.stop - part.start for part in bounding_box(mask)]
    gathered, levels = cost("intensity_statistics"), cost("intensity_histogram")
    bare, glcm = cost("morphology", **off), cost("glcm")
    split = choose(box, mask.geometry.spacing_mm)
    grids = [] if split is None else [np.prod(split.near), np.prod(split.far)]
    rows = {
        "masks, intensities": (gathered, 0, ""),
        "grey levels, histogram": (levels - gathered, 0, ""),
        "intensity peaks": (
            cost("local_intensity") - gathered,
            len(_ball_rows(mask.geometry.spacing_mm)) * n,
            "rows of the ball added",
        ),
        "sums over pairs": (
            cost("morphology", **{**off, "spatial_autocorrelation": True}) - bare,
            # The usual count of a transform of N real numbers; three fields on either grid.
            3 * sum(2.5 * size * np.log2(size) for size in grids),
            "operations of transforms",
        ),
        "boxes, ellipsoid": (cost("morphology", **{**off, "enclosing_shapes": True}) - bare, 0, ""),
        "the rest of shape": (bare - gathered, 0, ""),
        "glcm": (glcm - levels, 13 * n, "pairs counted"),
        "glrlm, after glcm": (cost("glcm", "glrlm") - glcm, 13 * n, "steps of runs"),
        "glszm": (cost("glszm") - levels, 13 * n, "neighbours compared"),
        "ngtdm": (cost("ngtdm") - levels, 27 * n, "neighbours added"),
        "ngldm": (cost("ngldm") - levels, 27 * n, "neighbours compared"),
    }
    reading, product = machine()
    print(f"{n} voxels, one thread: processor ms, and work in a nanosecond")
    for what, (took, work, unit) in rows.items():
        print(
            f"  {what:26}{1e3 * took:8.1f}" + (f"{work / took * 1e-9:8.1f} {unit}" if work else "")
        )
    print(
        f"One processor reads {reading * 1e-9:.0f} bytes, and makes {product * 2e-9:.0f} operations"
    )
    print("of a single-precision matrix product, in a nanosecond.")


def voxel_maps() -> None:
    """Print the cost of all co-occurrence maps."""
    image, mask = synthetic(6e4)
    settings = ExtractionSettings(discretisation=Discretisation("number", 32))
    wanted = {"without the maximal correlation": MAP_FAMILIES["glcm"][:-1], "with it": None}
    for code, what in (("ITBB", "averaged over 13 directions"), ("IAZD", "merged")):
        chosen = ExtractionSettings.from_mapping({**settings.to_mapping(), "aggregations": [code]})
        for which, names in wanted.items():
            call = partial(feature_maps, image, mask, features={"glcm": names}, settings=chosen)
            wall, work = (1e6 * item / mask.n_voxels for item in best_of(call, 3))
            print(
                f"GLCM maps, {what}, {which}: {wall:.2f} us a voxel ({work:.2f} us of processors)"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="a Python interpreter that has PyRadiomics")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--parts", action="store_true", help="what each part of a region costs")
    parser.add_argument("--large", action="store_true", help="also a region of 2.1 million voxels")
    chosen = parser.parse_args()
    good = True
    if chosen.peer:
        good = compare(chosen.peer, 199_725, FULL, "synth full: original, 5 LoG, 8 wavelet bands")
        if chosen.large:
            good &= compare(chosen.peer, 2.1e6, ORIGINAL, "large: original image")
    if chosen.parts:
        parts()
        return 0
    voxel_maps()
    if chosen.scaling:
        scaling()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Peak memory of this process: {peak:.0f} MB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
