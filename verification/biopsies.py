"""Biopsies of simulated patients: schemes of leaving out, shuffled labels, certainty, painted maps.

Run: ``python verification/biopsies.py [cohorts]`` (default 40, some minutes). Ends with status 1
where a new patient is told from features that know patients alone, where leaving single biopsies
out does not flatter, where shuffled labels are predicted, where certain predictions are not right
more often, or where a painted map misses the clone or finds one that no image shows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.features import ExtractionSettings
from radgen.image.agreement import dice
from radgen.io import read_biopsies, read_coregistered, write_image, write_mask
from radgen.predict import GaussianProcess, LocalSettings, biopsies, paint_sample
from radgen.predict.regional.scores import (
    held_out,
    permuted_within,
    scheme_row,
    within_patient_auc,
)
from radgen.sim import ClonalTumour, simulate_clones
from radgen.stats.discrimination import auc
from radgen.types import Mask

MEANS = ExtractionSettings(families=("intensity_statistics",))
Patients = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def patients(rng: np.random.Generator, *, local: float, shuffled: bool = False) -> Patients:
    """Return features that know the patient well, labels that go with patients, and patients."""
    who = np.repeat(np.arange(12), 4)
    own = rng.normal(size=(12, 6))[who]
    y = (rng.random(len(who)) < np.where(rng.random(12) < 0.5, 0.15, 0.85)[who]).astype(float)
    x = own + 0.3 * rng.normal(size=own.shape)
    x[:, 0] += local * y
    return x, permuted_within(rng.permutation(y), who, rng) if shuffled else y, who


def write(tumours: tuple[ClonalTumour, ...], folder: Path) -> tuple[Path, Path]:
    """Write scans, masks and biopsies, and return the tables of biopsies and of scans."""
    rows = []
    for item in tumours:
        write_mask(item.mask, folder / f"{item.sample}-mask.nii.gz")
        row = {"patient": item.sample, "mask": f"{item.sample}-mask.nii.gz"}
        for name, image in item.images.items():
            row[name] = f"{item.sample}-{name}.nii.gz"
            write_image(image, folder / row[name])
        rows.append(row)
    pl.DataFrame(rows).write_csv(folder / "scans.csv")
    pl.concat([item.biopsies for item in tumours]).write_csv(folder / "biopsies.csv")
    return folder / "biopsies.csv", folder / "scans.csv"


def schemes(seed: int) -> tuple[float, float]:
    """Return AUC with patients left out and with biopsies left out; features know patients only."""
    x, y, who = patients(np.random.default_rng(seed), local=0.0)
    model = GaussianProcess(kind="state", max_components=6)
    whole = held_out(model, x, y, who, "patient")[0].value
    single = held_out(model, x, y, who, "biopsy")[0].value
    return auc(y > 0.5, whole), auc(y > 0.5, single)


def shuffled(seed: int) -> float:
    """Return the AUC within patients of labels that nothing tells."""
    x, y, who = patients(np.random.default_rng(seed), local=3.0, shuffled=True)
    score = held_out(GaussianProcess(kind="state"), x, y, who, "patient")[0].value
    return within_patient_auc(y, score, who)[0]


def certain(seed: int) -> tuple[float, float]:
    """Return how often certain and uncertain predictions are right."""
    x, y, who = patients(np.random.default_rng(seed), local=3.0)
    found = held_out(GaussianProcess(kind="state"), x, y, who, "patient")[0]
    row = scheme_row("patient", found, y, who, kind="state", confidence=0.9)
    return row["accuracy_certain"], row["accuracy_uncertain"]


def overlap(seed: int, contrast: float) -> float:
    """Return Dice of the true clone and the map of a patient who had no biopsy."""
    tumours = simulate_clones(
        8, n_biopsies=4, contrast=contrast, patient_sd=0.3, size=12, spacing_mm=3.0, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        table, images = write(tumours, Path(folder))
        scans = read_coregistered(images)
        how = LocalSettings(radius_mm=4.0, features=MEANS)
        kept = {name: scan for name, scan in scans.items() if name != "P008"}
        _, model = biopsies(read_biopsies(table), kept, label="mutant", settings=how)
        maps = paint_sample(model, scans["P008"], every=2)
    own = tumours[-1]
    guess = Mask(maps.predicted.array > 0.5, own.mask.geometry)
    return dice(guess, Mask(own.clone, own.mask.geometry))


def main(cohorts: int) -> int:
    """Print a row a check and return the exit status."""
    failed = 0

    def say(what: str, figure: str, right: bool) -> None:
        nonlocal failed
        failed += not right
        print(f"{what:38s} {figure:44s} {'as it must be' if right else 'FAILED'}", flush=True)

    def error(values: NDArray[np.float64]) -> float:
        return float(values.std(ddof=1) / np.sqrt(len(values)))

    both = np.array([schemes(seed) for seed in range(cohorts)])
    whole, single = both.T
    say("patients left out", f"AUC {whole.mean():.3f} (SE {error(whole):.3f})",
        bool(whole.mean() < 0.5 + 4 * error(whole)))  # fmt: skip
    say("biopsies left out", f"AUC {single.mean():.3f} (SE {error(single):.3f})",
        bool(single.mean() - 4 * error(single) > 0.6))  # fmt: skip
    null = np.array([shuffled(seed) for seed in range(cohorts)])
    null = null[np.isfinite(null)]
    say("shuffled within patients", f"AUC {null.mean():.3f} (SE {error(null):.3f})",
        bool(abs(null.mean() - 0.5) < 4 * error(null)))  # fmt: skip
    right = np.array([certain(seed) for seed in range(cohorts)])
    gain = (right[:, 0] - right[:, 1])[np.isfinite(right).all(axis=1)]
    say("certain less uncertain predictions", f"right {gain.mean():+.3f} (SE {error(gain):.3f})",
        bool(gain.mean() > 4 * error(gain)))  # fmt: skip
    maps = max(4, cohorts // 5)
    shown = np.array([overlap(seed, 4.0) for seed in range(maps)])
    say("clone that images show", f"Dice {shown.mean():.3f}, least {shown.min():.3f}",
        bool(shown.mean() > 0.8))  # fmt: skip
    hidden = np.array([overlap(seed, 0.0) for seed in range(maps)])
    say("clone that no image shows", f"Dice {hidden.mean():.3f}",
        bool(hidden.mean() < 0.75))  # fmt: skip
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
