"""The simulator plants what it says, and nothing in null mode."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from radgen.errors import InputError
from radgen.sim import (
    CohortSettings,
    simulate_cohort,
    simulate_genotypes,
    simulate_survival,
)


def test_allele_frequencies_and_ld_are_as_asked() -> None:
    rng = np.random.default_rng(0)
    samples = tuple(f"s{i}" for i in range(4000))
    genotypes = simulate_genotypes(
        samples, n_variants=40, rng=rng, maf=(0.3, 0.3), ld=0.9, ld_block=20, missing=0.02
    )
    dosage = genotypes.read(0, 40)
    assert np.isnan(dosage).mean() == pytest.approx(0.02, abs=0.003)
    # standard error of a frequency over 8,000 haplotypes is 0.005
    assert np.nanmean(dosage, axis=1) / 2 == pytest.approx(np.full(40, 0.3), abs=0.025)
    filled = np.where(np.isnan(dosage), np.nanmean(dosage, axis=1, keepdims=True), dosage)
    r = np.corrcoef(filled)
    assert r[3, 4] > 0.6
    assert abs(r[19, 20]) < 0.08  # 5 standard errors: the blocks are independent


def test_survival_follows_the_hazard_and_the_censoring() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat([0.0, 1.0], 5000)
    times, events = simulate_survival(np.log(2) * group, rng=rng, censored=0.0, shape=1.0)
    assert events.all()
    # exponential times: the ratio of mean times is the inverse hazard ratio
    assert times[group == 0].mean() / times[group == 1].mean() == pytest.approx(2.0, rel=0.08)
    _, events = simulate_survival(np.zeros(2000), rng=rng, censored=0.4)
    assert 1 - events.mean() == pytest.approx(0.4, abs=0.002)


def test_planted_effects_show_in_the_latents_and_the_images() -> None:
    cohort = simulate_cohort(n_samples=90, n_variants=100, seed=5)
    driver = cohort.mutations.values[:, 0]
    mean = []
    for row in range(90):
        image, mask = cohort.scan(row)
        scanner = cohort.scanners[row]
        mean.append((image.array[mask.array].mean() - scanner.offset) / scanner.gain)
    assert stats.ttest_ind(np.array(mean)[driver == 1], np.array(mean)[driver == 0]).pvalue < 1e-6
    volumes = [cohort.scan(row)[1] for row in range(90)]
    ml = [mask.n_voxels * mask.geometry.voxel_volume_mm3 for mask in volumes]
    assert stats.spearmanr(ml, cohort.latent["size"]).statistic > 0.9


def test_null_mode_plants_nothing() -> None:
    p = []
    for seed in range(60):
        cohort = simulate_cohort(n_samples=60, n_variants=50, null=True, seed=seed)
        assert all(effect.sign == 0 for effect in cohort.truth)
        driver = cohort.mutations.values[:, 0] == 1
        bright = cohort.latent["brightness"].to_numpy()
        p.append(stats.ttest_ind(bright[driver], bright[~driver]).pvalue)
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_a_persons_scan_is_reproducible_and_the_retest_differs_by_noise_only() -> None:
    first = simulate_cohort(n_samples=20, n_variants=50, seed=2)
    again = simulate_cohort(n_samples=20, n_variants=50, seed=2)
    image, mask = first.scan(3)
    assert np.array_equal(image.array, again.scan(3)[0].array)
    retest, retest_mask = first.scan(3, visit=2)
    assert np.array_equal(mask.array, retest_mask.array)
    difference = retest.array - image.array
    scanner = first.scanners[3]
    assert difference.std() == pytest.approx(np.sqrt(2) * scanner.gain * scanner.noise, rel=0.03)


def test_the_written_files_are_what_other_tools_read(tmp_path: Path) -> None:
    from bed_reader import open_bed

    cohort = simulate_cohort(n_samples=12, n_variants=60, seed=4, retest=0.25)
    cohort.write(tmp_path)
    bed = open_bed(tmp_path / "genotypes.bed")
    assert np.array_equal(bed.read(), cohort.genotypes.read(0, 60).T, equal_nan=True)
    assert bed.iid.tolist() == list(cohort.samples)
    image, _ = cohort.scan(0)
    nifti = nib.load(tmp_path / "images" / "P0001.nii.gz")
    assert np.array_equal(nifti.get_fdata(dtype=np.float32).T, image.array)
    # nibabel is RAS: x and y change sign against LPS
    assert nifti.affine[:3, 3].tolist() == [36.0, 36.0, -30.0]
    assert len(list((tmp_path / "images").iterdir())) == 15
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["settings"]["n_samples"] == 12
    assert truth["effects"][0]["ibsi_code"] == "RNU0"


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match="at least 10 people"):
        CohortSettings(n_samples=3)
    with pytest.raises(InputError, match="censored fraction"):
        simulate_survival(np.zeros(3), rng=np.random.default_rng(0), censored=1.0)
    with pytest.raises(InputError, match="needs the population"):
        simulate_genotypes(("a",), n_variants=5, rng=np.random.default_rng(0), structure=0.1)
