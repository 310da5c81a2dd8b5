"""Agreement, measurement error and perturbation against R, statsmodels and planted truth."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

from radgen import associate, phenotype
from radgen._core.rng import spawn
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.features import ExtractionSettings
from radgen.image.perturb import PerturbationSettings
from radgen.phenotype.perturbed import measure_perturbed, perturbed_features
from radgen.phenotype.repeatability import repeats_of, split_repeats
from radgen.sim.scans import Scanner, simulate_scan
from radgen.stats import reliability
from radgen.stats.measurement_error import calibrate, simulation_extrapolation
from radgen.types import Covariates, Outcome, PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "reliability"
SHROUT = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def golden(name):
    return np.genfromtxt(GOLDEN / name, delimiter=",", skip_header=1, autostrip=True)


def test_icc_and_their_intervals_equal_psych():
    expected = golden("icc.csv").reshape(2, 6, 3)
    for ratings, wanted in zip((SHROUT, golden("ratings.csv")), expected, strict=True):
        for form, row in zip(("1,1", "2,1", "3,1", "1,k", "2,k", "3,k"), wanted, strict=True):
            found = reliability.icc(ratings, form)
            np.testing.assert_allclose(
                [found.estimate, found.ci_low, found.ci_high], row, atol=1e-10, err_msg=form
            )


def test_concordance_and_its_interval_equal_epir():
    pairs = golden("pairs.csv")
    found = reliability.concordance_correlation(pairs[:, 0], pairs[:, 1])
    np.testing.assert_allclose(
        [found.estimate, found.ci_low, found.ci_high], golden("ccc.csv"), atol=1e-10
    )


def test_standard_error_of_kappa_equals_statsmodels():
    from statsmodels.stats.inter_rater import cohens_kappa

    rng = np.random.default_rng(3)
    first = rng.integers(0, 4, 80)
    second = np.clip(first + rng.integers(-1, 2, 80), 0, 3)
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    for weights in ("none", "linear", "quadratic"):
        expected = cohens_kappa(table, wt=None if weights == "none" else weights)
        found = reliability.weighted_kappa(first, second, weights=weights)
        half = stats.norm.ppf(0.975) * expected.std_kappa
        assert found.estimate == pytest.approx(expected.kappa, abs=1e-12)
        assert found.ci_high == pytest.approx(expected.kappa + half, abs=1e-9)


def test_limits_of_agreement_have_their_intervals():
    rng = np.random.default_rng(0)
    a = rng.normal(size=17)
    b = a + 0.2 + rng.normal(size=17)
    found = reliability.bland_altman(a, b)
    gap = b - a
    error = gap.std(ddof=1) * np.sqrt(1 / 17 + 1.96**2 / 32)
    t = stats.t(16).ppf(0.975)
    assert found.lower_limit_low == pytest.approx(gap.mean() - 1.96 * gap.std(ddof=1) - t * error)
    assert found.upper_limit_high == pytest.approx(gap.mean() + 1.96 * gap.std(ddof=1) + t * error)


def test_limits_of_agreement_cover_in_simulation():
    rng = np.random.default_rng(1)
    runs, inside = 400, 0
    for _ in range(runs):
        gap = rng.normal(size=25)
        found = reliability.bland_altman(np.zeros(25), gap)
        inside += found.upper_limit_low <= 1.96 <= found.upper_limit_high
    assert inside >= stats.binom.ppf(0.0005, runs, 0.95)


def test_calibration_equals_its_formula_and_recovers_variances():
    rng = np.random.default_rng(0)
    n = 4000
    truth = 2 * rng.normal(size=n)
    z = 0.5 * truth + rng.normal(size=n)
    readings = truth[:, None] + rng.normal(size=(n, 3))
    readings[rng.random((n, 3)) < 0.2] = np.nan
    keep = np.isfinite(readings).any(axis=1)
    found = calibrate(readings[keep], z[keep, None])
    assert found.true_variance == pytest.approx(4, rel=0.08)
    assert found.error_variance == pytest.approx(1, rel=0.05)
    best = np.linalg.lstsq(np.column_stack((found.expected, np.ones(keep.sum()))), truth[keep])[0]
    np.testing.assert_allclose(best, [1, 0], atol=0.03)
    pairs = readings[np.isfinite(readings).all(axis=1)]
    plain = calibrate(pairs)
    middle, k = pairs.mean(axis=1), 3
    share = plain.true_variance / (plain.true_variance + plain.error_variance / k)
    np.testing.assert_allclose(plain.expected, middle.mean() + share * (middle - middle.mean()))
    oneway = reliability.icc(pairs, "1,1").estimate
    assert plain.true_variance / (plain.true_variance + plain.error_variance) == pytest.approx(
        oneway, abs=1e-3
    )
    with pytest.raises(InputError, match="no true variance"):
        calibrate(np.array([[0.0, 1], [1, 0], [0, 1], [1, 0]]))
    with pytest.raises(InputError, match="some need two"):
        calibrate(np.ones((5, 1)))


def test_extrapolation_undoes_the_attenuation_of_a_slope():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=3000)
    y = truth + 0.5 * rng.normal(size=3000)
    readings = truth[:, None] + 0.7 * rng.normal(size=(3000, 2))

    def slope(x):
        return float(np.polyfit(x, y, 1)[0])

    found, levels, effects = simulation_extrapolation(slope, readings, rng=rng)
    assert levels[0] == 0
    assert np.all(np.diff(effects) < 0)
    assert effects[0] == pytest.approx(1 / 1.245, abs=0.03)
    assert found == pytest.approx(1, abs=0.04)


def _readings(rng, kind, n, effect, *, names=("x",)):
    truth = rng.normal(size=n)
    z = 0.4 * truth + rng.normal(size=n)
    ids = tuple(f"s{k}" for k in range(n))
    eta = effect * truth + 0.3 * z
    events = None
    if kind == "continuous":
        y = eta + rng.normal(size=n)
    elif kind == "binary":
        y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    else:
        time, end = rng.exponential(np.exp(-eta)), rng.exponential(2, n)
        y, events = np.minimum(time, end), time < end
    tables = {}
    for reader in range(2):
        columns = {
            name: 3 + 2 * (truth + np.sqrt(0.4 / 0.6) * rng.normal(size=n)) + reader
            for name in names
        }
        tables[f"reader {reader}"] = PhenotypeTable.from_frame(
            pl.DataFrame({"sample": ids} | columns)
        )
    return tables, Outcome("y", kind, ids, y, events), Covariates(ids, ("z",), z[:, None])


@pytest.mark.parametrize(
    ("kind", "n", "model"),
    [("continuous", 150, "linear"), ("binary", 250, "logistic"), ("censored", 180, "cox")],
)
def test_effects_are_corrected_for_the_error_of_readers(kind, n, model):
    rng = np.random.default_rng(11)
    naive, corrected, simex, covered = [], [], [], 0
    runs = 8
    for _ in range(runs):
        tables, outcome, covariates = _readings(rng, kind, n, 0.6)
        found = associate.reader_effects(
            tables, outcome, covariates, seed=1, bootstrap=60, simex_draws=5
        )
        row = found.frame.row(0, named=True)
        assert row["status"] == "ok"
        naive.append(row["effect_mean"])
        corrected.append(row["effect"])
        simex.append(row["effect_simex"])
        covered += row["ci_low"] <= 0.6 <= row["ci_high"]
    assert found.model == model
    assert np.mean(naive) < 0.52
    assert abs(np.mean(corrected) - 0.6) < abs(np.mean(naive) - 0.6)
    assert np.mean(corrected) == pytest.approx(0.6, abs=0.12)
    assert np.mean(simex) > np.mean(naive)
    assert covered >= runs - 2
    assert "corrected for the readers' error" in found.statements()[0]
    assert "Rubin" in found.methods()


def test_rubins_rules_pool_readers():
    tables, outcome, covariates = _readings(np.random.default_rng(0), "continuous", 80, 0.5)
    row = associate.reader_effects(
        tables, outcome, covariates, seed=1, bootstrap=0, simex_draws=0
    ).frame.row(0, named=True)
    cube = np.stack([np.asarray(t.values)[:, 0] for t in tables.values()], axis=1)
    cube = cube - cube.mean(axis=0) + cube.mean()
    scale = np.sqrt(calibrate(cube, covariates.values).true_variance)
    fits = []
    for k in range(2):
        design = np.column_stack((cube[:, k] / scale, covariates.values, np.ones(80)))
        beta, rss = np.linalg.lstsq(design, outcome.values)[:2]
        error = np.linalg.inv(design.T @ design)[0, 0] * rss[0] / 77
        fits.append((beta[0], error))
    effects = np.array([f[0] for f in fits])
    within, between = np.mean([f[1] for f in fits]), 1.5 * effects.var(ddof=1)
    half = stats.t((1 + within / between) ** 2).ppf(0.975) * np.sqrt(within + between)
    assert row["effect_pooled"] == pytest.approx(effects.mean(), rel=1e-9)
    assert row["pooled_high"] == pytest.approx(effects.mean() + half, rel=1e-7)
    assert row["ci_low"] is None


def test_readings_that_tell_nothing_are_a_status():
    rng = np.random.default_rng(5)
    ids = tuple(f"s{k}" for k in range(30))
    tables = {
        f"r{k}": PhenotypeTable.from_frame(
            pl.DataFrame({"sample": ids, "noise": rng.normal(size=30)})
        )
        for k in range(2)
    }
    frames = {k: t.to_frame() for k, t in tables.items()}
    swapped = frames["r0"].with_columns(noise=-frames["r0"]["noise"])
    tables["r1"] = PhenotypeTable.from_frame(swapped)
    outcome = Outcome("y", "continuous", ids, rng.normal(size=30))
    found = associate.reader_effects(tables, outcome, seed=1, bootstrap=5)
    assert found.frame["status"][0] == "failed"
    assert "no true variance" in found.frame["reason"][0]
    assert "not done" in found.statements()[0]
    with pytest.raises(InputError, match="two or more readings"):
        associate.reader_effects({"a": tables["r0"]}, outcome, seed=1)
    with pytest.raises(InputError, match="Not in every reading"):
        associate.reader_effects(tables, outcome, seed=1, phenotypes=["volume"])


def test_verdicts_follow_the_lower_bound():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(20, 3)) + 10
    ids = [f"p{k}" for k in range(20)]
    rows = []
    for visit in (1, 2):
        values = truth + rng.normal(size=truth.shape) * [0.05, 0.45, 2.0]
        rows.append(
            pl.DataFrame({"id": ids, "visit": visit} | {f"f{j}": values[:, j] for j in range(3)})
        )
    long = pl.concat(rows)
    tables = split_repeats(long, sample="id", repeat="visit")
    found = phenotype.measure_repeatability(tables)
    assert found.frame["verdict"].to_list() == ["keep", "unsure", "drop"]
    assert found.plot("icc").has_data()
    repeats, samples = repeats_of(tables, ["f2", "absent", "f0"])
    assert len(samples) == 20
    kept = phenotype.ReliabilityFilter(repeats, form="1,1").fit(np.zeros((4, 3)))
    assert kept.support_.tolist() == [False, False, True]
    lonely = {k: t.take(rows=[0]) for k, t in tables.items()}
    alone = phenotype.measure_repeatability(lonely)
    assert alone.frame["icc"].null_count() == 3
    assert alone.frame["within_sd"].null_count() == 0
    assert "no intraclass correlation" in alone.statements()[0]
    with pytest.raises(InputError, match="one repeat only"):
        split_repeats(long.filter(pl.col("visit") == 1), sample="id", repeat="visit")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    import nibabel

    folder = tmp_path_factory.mktemp("scans")
    rows = []
    for k in range(4):
        image, mask = simulate_scan(
            size=0.8 * k - 1.5, brightness=0.6 * k, texture=0.0,
            scanner=Scanner("site", "maker", (4.0, 3.0, 3.0)), rng=spawn(1, "scan", k),
        )  # fmt: skip
        affine = np.diag([-1.0, -1, 1, 1]) @ image.geometry.affine
        for name, array in (("image", image.array), ("mask", mask.array.astype(np.uint8))):
            nibabel.Nifti1Image(array.T, affine).to_filename(folder / f"{name}{k}.nii.gz")
        rows.append({"sample": f"s{k}", "image": f"image{k}.nii.gz", "mask": f"mask{k}.nii.gz"})
    pl.DataFrame(rows).write_csv(folder / "scans.csv")
    return folder, rows


FAST = ExtractionSettings(families=("intensity_statistics", "morphology"))


def test_perturbed_scans_tell_stable_from_unstable_features(scans):
    folder, rows = scans
    how = PerturbationSettings(translation=0.5, noise=1.0, volume=0.1)
    options = {"settings": FAST, "seed": 3, "perturbation": how, "copies": 3, "folder": folder}
    found = measure_perturbed(rows, **options)
    icc = dict(found.frame.select("phenotype", "icc").iter_rows())
    volume = next(v for k, v in icc.items() if "morphology|volume" in k.lower())
    assert volume > 0.9
    assert found.n_used == 4
    assert "perturbed copies" in found.methods()
    again = measure_perturbed(rows[:2] + rows[2:], **options)
    assert again.frame.equals(found.frame)
    broken = [*rows, {"sample": "bad", "image": "absent.nii.gz", "mask": "mask0.nii.gz"}]
    partly = measure_perturbed(broken, **options)
    assert "bad" in partly.warnings[0]
    assert partly.frame.equals(found.frame)
    single = measure_perturbed(rows[:1], **options)
    assert single.frame["icc"].null_count() == single.frame.height
    with pytest.raises(InputError, match="No scan could be measured"):
        measure_perturbed(broken[-1:], **options)
    with pytest.raises(InputError, match="Nothing is perturbed"):
        perturbed_features(rows, settings=FAST, seed=1, perturbation=PerturbationSettings())


def test_perturbations_that_change_nothing_have_an_icc_of_one(scans):
    folder, rows = scans
    found = measure_perturbed(
        rows, settings=ExtractionSettings(families=("intensity_statistics",)), seed=1, copies=2,
        perturbation=PerturbationSettings(volume=1e-9), folder=folder,
    )  # fmt: skip
    np.testing.assert_allclose(found.frame["icc"].drop_nulls(), 1, atol=1e-12)


def test_reliability_from_the_command_line(scans, tmp_path):
    folder, _ = scans

    def call(*arguments):
        found = CliRunner().invoke(app, ["reliability", *map(str, arguments)])
        assert found.exit_code == 0, (found.output, found.exception)
        return found.output

    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(40)]
    truth = rng.normal(size=(40, 2))
    for reader in (1, 2):
        values = truth + 0.3 * rng.normal(size=(40, 2))
        frame = pl.DataFrame({"id": ids, "a": values[:, 0], "b": values[:, 1], "age": 1.0})
        frame.write_csv(tmp_path / f"r{reader}.csv")
    clinic = pl.DataFrame(
        {"id": ids, "grade": np.where(truth[:, 0] + rng.normal(size=40) > 0, "high", "low"),
         "sex": rng.choice(["F", "M"], 40)}
    )  # fmt: skip
    clinic.write_csv(tmp_path / "c.csv")
    readers = (tmp_path / "r1.csv", tmp_path / "r2.csv", "--leave", "age")
    text = call(
        "table", *readers, "--form", "2,1", "--out", tmp_path / "icc.csv", "--picture",
        tmp_path / "icc.png",
    )  # fmt: skip
    assert (tmp_path / "icc.png").read_bytes()[:4] == b"\x89PNG"
    text = call(
        "table", *readers, "--form", "2,1", "--out", tmp_path / "icc.csv", "--picture",
        tmp_path / "a.svg", "--feature", "a",
    )  # fmt: skip
    assert "<svg" in (tmp_path / "a.svg").read_text()
    lost = CliRunner().invoke(app, [
        "reliability", "table", *map(str, readers[:2]), "--feature", "a", "--out",
        str(tmp_path / "icc.csv"),
    ])  # fmt: skip
    assert "name it with --picture" in str(lost.exception)
    assert "of 2 phenotypes have an ICC(2,1)" in text
    assert pl.read_csv(tmp_path / "icc.csv")["phenotype"].to_list() == ["a", "b"]
    text = call(
        "effects", *readers, "--outcomes", tmp_path / "c.csv", "--target", "grade", "--positive",
        "high", "--adjust", "sex", "--features", "a", "--bootstrap", 20, "--out",
        tmp_path / "e.csv",
    )  # fmt: skip
    assert "corrected for the readers' error" in text
    (tmp_path / "fast.toml").write_text('families = ["intensity_statistics"]\n')
    text = call(
        "perturb", "--cohort", folder / "scans.csv", "--settings", tmp_path / "fast.toml",
        "--copies", 2, "--out", tmp_path / "p.csv",
    )  # fmt: skip
    assert "phenotypes have an ICC(1,1)" in text
    text = call(
        "masks", folder / "mask0.nii.gz", folder / "mask0.nii.gz", "--out", tmp_path / "m.csv"
    )
    assert "Dice 1.000" in text
    wrong = CliRunner().invoke(app, ["reliability", "table", str(tmp_path / "r1.csv")])
    assert "Give one table and --repeat" in str(wrong.exception)


def test_modified_interval_of_two_way_icc_in_its_exact_limits():
    from scipy.stats import f

    from radgen.stats._icc_bounds import modified_large_sample

    n, k, tail = 20, 3, 0.025
    subjects, other = np.array([4.0, 9.0]), np.array([1.0, 2.0])
    nothing = np.zeros(2)

    def bound(ratio, scale, shift):
        """Return ρ where n (1 - ρ) ratio = scale ρ + shift."""
        return (n * ratio - shift) / (n * ratio + scale)

    # No variance between readers: the F interval of subjects against the residual.
    low, high = modified_large_sample(subjects, nothing, other, n=n, k=k, tail=tail)
    df = (n - 1, (n - 1) * (k - 1))
    for found, q in ((low, f.isf(tail, *df)), (high, f.ppf(tail, *df))):
        ratio = subjects / other / q
        np.testing.assert_allclose(found, bound(ratio, n * k - n - k, n), rtol=1e-10)
    # No residual: the F interval of subjects against readers.
    low, high = modified_large_sample(subjects, other, nothing, n=n, k=k, tail=tail)
    df = (n - 1, k - 1)
    for found, q in ((low, f.isf(tail, *df)), (high, f.ppf(tail, *df))):
        np.testing.assert_allclose(found, bound(subjects / other / q, k, 0), rtol=1e-10)


def test_modified_interval_covers_where_readers_differ_and_the_f_interval_does_not():
    rng = np.random.default_rng(8)
    subjects = rng.normal(size=(100, 1, 600))
    ratings = subjects + np.sqrt(0.05) * (
        rng.normal(size=(100, 2, 600)) + np.sqrt(1.222) * rng.normal(size=(1, 2, 600))
    )
    truth = 1 / (1 + 0.05 * 2.222)
    covered = {}
    for kind in ("f", "modified"):
        found = reliability.icc_columns(ratings, "2,1", interval=kind)
        covered[kind] = ((found.ci_low <= truth) & (truth <= found.ci_high)).mean()
    assert covered["modified"] > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 600)
    assert covered["f"] < 0.85
    with pytest.raises(InputError, match="Unknown interval"):
        reliability.icc(SHROUT, "2,1", interval="exact")


def test_modified_interval_of_a_negative_coefficient_holds_it():
    found = reliability.icc([[1, 4], [4, 1], [2, 3.5], [3, 1.5]], "2,1", interval="modified")
    assert found.ci_low <= found.estimate < 0 <= found.ci_high
