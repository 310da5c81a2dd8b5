"""Whether what reliability, selection and perturbation promise is so, by simulation and on scans.

Run ``RADGEN_DATA=... python verification/trust.py [draws]`` (default 2000; some minutes).
Prints a table; ends with status 1 where a rate lies outside of its band (4 standard errors), or a
perturbed contour of a real scan is not what was asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from radgen.image.agreement import contour_agreement
from radgen.image.perturb import PerturbationSettings, perturbations
from radgen.phenotype import ReliabilityFilter
from radgen.predict.selection import StabilitySelector
from radgen.stats.reliability import IccForm, icc_columns

Row = tuple[str, str, float, float, float]
"""What, where, found, lowest and highest that is right."""

FORMS: tuple[IccForm, ...] = ("1,1", "2,1", "3,1", "1,k", "2,k", "3,k")
_CASES = ("brain1", "brain2", "breast1", "lung1")


def _measured(  # noqa: PLR0917
    form: IccForm, n: int, k: int, rho: float, p: int, rng: np.random.Generator, share: float = 0.1
) -> tuple[np.ndarray, float]:
    """Return ratings (n, k, p) and their true coefficient of this form.

    Raters of "2,·" are drawn anew for each column; `share` of the error is theirs.
    """
    raters = form.startswith("2")
    noise = 1 / rho - 1
    reader = noise * share if raters else 0.0
    error = noise - reader
    values = rng.normal(size=(n, 1, p)) + np.sqrt(error) * rng.normal(size=(n, k, p))
    values += np.sqrt(reader) * rng.normal(size=(1, k, p))
    if form.startswith("3"):
        values += np.arange(k)[None, :, None]  # offsets that do not count as error
    return values, rho if form.endswith("1") else 1 / (1 + noise / k)


def intervals(draws: int) -> Iterator[Row]:
    """Yield the coverage of 95 % intervals of each form of the ICC."""
    rng = np.random.default_rng(1)
    for form in FORMS:
        for n, k, rho in ((10, 2, 0.6), (30, 2, 0.9), (30, 4, 0.3)):
            values, true = _measured(form, n, k, rho, draws, rng)
            found = icc_columns(values, form)
            covered = float(((found.ci_low <= true) & (true <= found.ci_high)).mean())
            half = 4 * np.sqrt(0.95 * 0.05 / draws)
            where = f"n = {n}, k = {k}, ICC {rho}"
            yield f"ICC({form}) interval", where, covered, 0.95 - half, 0.95 + half
    # The F interval's known limit: few readers whose offsets make up much of the error.
    half = 4 * np.sqrt(0.95 * 0.05 / draws)
    for n, k, rho, share in (
        (10, 2, 0.6, 0.9), (30, 2, 0.9, 0.0), (30, 2, 0.9, 0.5), (30, 2, 0.3, 0.9),
        (30, 3, 0.6, 0.9), (30, 5, 0.9, 0.5), (100, 2, 0.9, 0.5), (100, 5, 0.6, 0.1),
    ):  # fmt: skip
        values, true = _measured("2,1", n, k, rho, draws, rng, share=share)
        covered = []
        for kind in ("f", "modified"):
            found = icc_columns(values, "2,1", interval=kind)  # type: ignore[arg-type]
            covered.append(float(((found.ci_low <= true) & (true <= found.ci_high)).mean()))
        where = f"n {n}, k {k}, ICC {rho}, offsets {share:.0%}"
        yield "ICC(2,1) modified interval", where, covered[1], 0.95 - half, 1.0
        if (n, k, share) == (30, 2, 0.5):
            yield "ICC(2,1) F interval", where, covered[0], 0.86 - half, 0.86 + 2 * half


def filters(draws: int) -> Iterator[Row]:
    """Yield how often a phenotype of exactly the threshold is kept: 2.5 % by its lower bound."""
    rng = np.random.default_rng(2)
    for form in ("1,1", "3,1"):
        for n in (10, 30):
            values, _ = _measured(form, n, 2, 0.75, draws, rng)  # type: ignore[arg-type]
            values[:, :, 0] = rng.normal(size=(n, 1))  # one that is surely kept
            model = ReliabilityFilter(values, form=form)  # type: ignore[arg-type]
            kept = float(model.fit(np.zeros((3, draws))).support_[1:].mean())
            half = 4 * np.sqrt(0.025 * 0.975 / draws)
            yield "kept at the threshold", f"ICC({form}), n = {n}", kept, 0.025 - half, 0.025 + half


def stability(draws: int) -> Iterator[Row]:
    """Yield the mean number of columns kept by error, which has a bound."""
    rng = np.random.default_rng(3)
    runs = max(draws // 40, 20)
    for name, rho, signal in (
        ("independent, nothing planted", 0.0, 0.0),
        ("correlated, nothing planted", 0.5, 0.0),
        ("independent, five planted", 0.0, 0.6),
    ):
        for bound, threshold in (("unimodal", 0.75), ("meinshausen-buhlmann", 0.9)):
            wrong, limit = [], 0.0
            for seed in range(runs):
                x = np.sqrt(1 - rho) * rng.normal(size=(80, 100))
                x += np.sqrt(rho) * rng.normal(size=(80, 1))
                y = signal * x[:, :5].sum(axis=1) + rng.normal(size=80)
                model = StabilitySelector(
                    1.0, threshold=threshold, n_pairs=25, bound=bound, random_state=seed
                ).fit(x, y)
                stable = np.flatnonzero(model.stable_)
                wrong.append(int((stable >= (5 if signal else 0)).sum()))
                limit = model.error_bound_
            error = 4 * np.std(wrong) / np.sqrt(runs)
            yield f"stability errors, {bound}", name, float(np.mean(wrong)), 0.0, limit + error


def contours(root: Path, copies: int = 6) -> Iterator[Row]:
    """Yield what a chain of perturbations does to the contours of real scans."""
    from radgen.io import read_image, read_masks

    chain = PerturbationSettings(
        rotation_deg=8.0, translation=0.5, noise=1.0, volume=0.1, contour=True
    )
    for case in _CASES:
        folder = root / "pyradiomics_cases"
        image = read_image(folder / f"{case}_image.nrrd")
        mask = next(iter(read_masks(folder / f"{case}_label.nrrd", reference=image).values()))
        grown = PerturbationSettings(volume=0.15)
        sizes = [m.n_voxels / mask.n_voxels - 1
                 for _, m in perturbations(image, mask, grown, n=copies, seed=1)]  # fmt: skip
        slack = 1.5 / mask.n_voxels
        yield "growth alone: largest change", case, float(np.abs(sizes).max()), 0.02, 0.15 + slack
        drawn = PerturbationSettings(contour=True)
        overlap = [contour_agreement(mask, m).dice
                   for _, m in perturbations(image, mask, drawn, n=copies, seed=2)]  # fmt: skip
        yield "supervoxel contour: mean Dice", case, float(np.mean(overlap)), 0.7, 0.999
        alike = len({m.array.tobytes() for _, m in perturbations(image, mask, drawn, n=copies,
                                                                 seed=2)})  # fmt: skip
        yield "supervoxel contour: different copies", case, float(alike), copies - 1.5, copies
        change, volume = [], []
        for copy, region in perturbations(image, mask, chain, n=copies, seed=3):
            region.require_on(copy)
            size = float(np.prod(copy.geometry.spacing_mm)) * region.n_voxels
            volume.append(size / (float(np.prod(image.geometry.spacing_mm)) * mask.n_voxels))
            inside = copy.array[region.array].mean()
            change.append(abs(inside - image.array[mask.array].mean())
                          / image.array[mask.array].std())  # fmt: skip
        yield "whole chain: mean volume", case, float(np.mean(volume)), 0.75, 1.25
        yield "whole chain: shift of the mean in SD", case, float(np.max(change)), 0.0, 0.6


def main() -> int:
    """Print all rows; return 1 where one lies outside of its band."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    bad = 0
    root = os.environ.get("RADGEN_DATA")
    parts = [intervals(draws), filters(draws), stability(draws)]
    if root:
        parts.append(contours(Path(root)))
    else:
        print("RADGEN_DATA is not set: contours of real scans are left out.")
    for rows in parts:
        for what, where, found, low, high in rows:
            fine = low <= found <= high
            bad += not fine
            print(
                f"{what:38s} {where:36s} {found:8.3f}  in {low:.3f} to {high:.3f}"
                f"  {'ok' if fine else 'WRONG'}", flush=True,
            )  # fmt: skip
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
