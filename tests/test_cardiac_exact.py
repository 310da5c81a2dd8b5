"""Traits of the heart against shapes and sums that are known in closed form."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import GeometryError, InputError
from radgen.image import heart_measures, wall_thickness
from radgen.io import write_image
from radgen.phenotype import AllometricScaler, body_surface_area, cardiac_traits
from radgen.types import Geometry, ImageVolume, Mask

_GRID = Geometry.from_spacing((64, 80, 80), (2.0, 1.0, 1.0))


def _ellipsoid(grid, half_mm):
    """Voxels whose centres lie in an ellipsoid about the middle of the grid; half axes z, y, x."""
    axes = [
        (np.arange(n) - (n - 1) / 2 + 0.13) * step
        for n, step in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return (z / half_mm[0]) ** 2 + (y / half_mm[1]) ** 2 + (x / half_mm[2]) ** 2 <= 1


def _heart(inner, outer, grid=_GRID):
    blood, heart = _ellipsoid(grid, inner), _ellipsoid(grid, outer)
    return {"lv": Mask(blood, grid), "myocardium": Mask(heart & ~blood, grid)}


def _ml(half_mm):
    return 4.0 / 3.0 * np.pi * np.prod(half_mm) / 1000.0


@pytest.fixture(scope="module")
def beating():
    large = (45.0, 24.0, 24.0), (54.0, 33.0, 33.0)
    small = (36.0, 16.0, 16.0), (48.0, 30.0, 30.0)
    return large, small, heart_measures(_heart(*large), _heart(*small))


def test_an_ellipsoid_has_the_volumes_and_the_mass_of_its_formula(beating):
    large, small, found = beating
    # A lattice of 2 mm3 misses a smooth body of 70 mL by far less than 1 per cent.
    assert found["lv_edv_ml"] == pytest.approx(_ml(large[0]), rel=2e-3)
    assert found["lv_esv_ml"] == pytest.approx(_ml(small[0]), rel=4e-3)
    wall = _ml(large[1]) - _ml(large[0])
    assert found["lv_mass_g"] == pytest.approx(1.05 * wall, rel=3e-3)
    ef = 100 * (1 - _ml(small[0]) / _ml(large[0]))
    table = cardiac_traits({"sample": ["a"], **{k: [v] for k, v in found.items()}}).traits
    assert table.values[0, table.names.index("lv_ef_percent")] == pytest.approx(ef, abs=0.3)


def test_circumference_and_wall_are_those_of_the_slices_of_the_ellipsoid(beating):
    large, small, found = beating
    z = (np.arange(64) - 31.5 + 0.13) * 2.0

    def radius(half):
        return half[1] * np.sqrt(np.clip(1 - (z / half[0]) ** 2, 0, None))

    both = (radius(large[0]) > 0) & (radius(small[0]) > 0)
    around = 100 * (radius(small[0])[both].sum() / radius(large[0])[both].sum() - 1)
    assert found["lv_circumferential_strain_percent"] == pytest.approx(around, abs=0.5)
    # Each wall voxel beside the blood counts once, so slices count by their circumference.
    walls = []
    for inner, outer in (large, small):
        r, wall = radius(inner), radius(outer) - radius(inner)
        walls.append(float((wall * r).sum() / r.sum()))
    # The nearest outer voxel is up to half a diagonal off the ray.
    assert found["lv_wall_mm"] == pytest.approx(walls[0], abs=0.5)
    thicker = 100 * (walls[1] / walls[0] - 1)
    assert found["lv_radial_strain_percent"] == pytest.approx(thicker, abs=6)
    assert found["lv_radial_strain_percent"] > 30


def test_a_square_ring_is_as_thick_as_its_voxels_count():
    grid = Geometry.from_spacing((2, 30, 30), (8.0, 1.5, 1.5))
    blood, heart = np.zeros((2, 2, 30, 30), bool)
    blood[:, 12:18, 12:18] = True
    heart[:, 7:23, 7:23] = True
    thick = wall_thickness(Mask(blood, grid), Mask(heart & ~blood, grid))
    assert thick.tolist() == [7.5] * (2 * 4 * 6)
    assert not len(wall_thickness(Mask(blood, grid), Mask(blood & False, grid)))


def test_regions_that_cannot_be_measured_are_refused():
    heart = _heart((45.0, 24.0, 24.0), (54.0, 33.0, 33.0))
    whole = heart | {"myocardium": Mask(heart["lv"].array | heart["myocardium"].array, _GRID)}
    with pytest.raises(InputError, match="take the blood out"):
        heart_measures(whole, heart)
    with pytest.raises(InputError, match="No chamber"):
        heart_measures(heart, {"myocardium": heart["myocardium"]})
    with pytest.raises(InputError, match="no region 'heart'"):
        heart_measures(heart | {"heart": heart["lv"]}, heart)
    with pytest.raises(InputError, match="density"):
        heart_measures(heart, heart, density_g_ml=0)
    other = Geometry.from_spacing((64, 80, 80), (2.0, 1.5, 1.0))
    with pytest.raises(GeometryError, match="lv"):
        heart_measures(heart | {"rv": Mask(np.zeros(other.shape, bool), other)}, heart)


def test_derived_traits_are_those_worked_out_by_hand():
    found = cardiac_traits(
        {
            "IID": ["a", "b", "c"],
            "LVEDV": [150.0, 100.0, None],
            "lvesv_l": [0.06, 0.12, 0.05],
            "lv_mass_kg": [0.12, 0.09, 0.1],
            "heart_rate_bpm": [60.0, 70.0, 80.0],
            "height": [1.80, 1.60, 1.70],
            "weight": [80.0, 0.0, 60.0],
            "town": ["x", "y", "z"],
        },
        index=["bsa", "height2.7"],
        formula="mosteller",
    )
    row = dict(zip(found.traits.names, found.traits.values[0], strict=True))
    # SV 150 - 60, EF 90/150, CO 90 x 60 / 1000, 120 g / 150 mL; BSA 2.0 m2; 1.8^2.7 = 4.8893.
    assert row["lv_sv_ml"] == pytest.approx(90.0)
    assert row["lv_ef_percent"] == pytest.approx(60.0)
    assert row["lv_co_l_min"] == pytest.approx(5.4)
    assert row["lv_mass_volume_g_ml"] == pytest.approx(0.8)
    assert row["lv_edv_ml_per_bsa"] == pytest.approx(75.0)
    assert row["lv_mass_g_per_height2.7"] == pytest.approx(120 / 4.8893, rel=1e-4)
    units = dict(zip(found.traits.names, found.traits.specs["unit"], strict=True))
    assert (units["lv_edv_ml_per_bsa"], units["lv_mass_g_per_height2.7"]) == ("mL/m2", "g/m2.7")
    # b empties to more than it holds: both volumes go, and so does what follows from them.
    status = found.traits.status.filter(pl.col("sample") == "b")
    assert sorted(status["phenotype"]) == ["lv_edv_ml", "lv_esv_ml"]
    assert "lv_esv_ml is not below lv_edv_ml" in status["reason"].to_list()
    b = dict(zip(found.traits.names, found.traits.values[1], strict=True))
    assert np.isnan([b["lv_sv_ml"], b["lv_ef_percent"], b["lv_edv_ml_per_bsa"]]).all()
    assert b["lv_mass_g"] == pytest.approx(90.0)
    assert "metres" in " ".join(found.notes)
    assert found.body.values[0].tolist() == pytest.approx([180.0, 80.0, 2.0])


def test_body_surface_is_that_of_the_published_formulas():
    # 0.007184 x 180^0.725 x 80^0.425 = 1.996; the root of 180 x 80 / 3600 = 2.
    assert body_surface_area([180.0], [80.0])[0] == pytest.approx(1.9964, abs=5e-4)
    assert body_surface_area([180.0], [80.0], formula="mosteller")[0] == 2.0
    assert np.isnan(body_surface_area([180.0, -1.0], [np.nan, 80.0])).all()


@pytest.mark.parametrize(
    "form", ["f.{}.2.0", "{}-2.0", "p{}_i2", "x{}_2_0", "{}_2_0", "lv_thing_f{}_2_0"]
)
def test_fields_of_uk_biobank_are_recognised_however_they_are_written(form):
    fields = {24100: 150.0, 24101: 60.0, 24105: 100.0, 24157: -20.0, 24110: 70.0}
    columns = {form.format(field): [value] for field, value in fields.items()}
    columns |= {form.replace("2", "3", 1).format(24100): [999.0]} if "2" in form else {}
    found = cardiac_traits({"f.eid": ["1"], **columns, "p50_i2": [170.0]}).traits
    row = dict(zip(found.names, found.values[0], strict=True))
    expected = {"lv_edv_ml": 150.0, "lv_esv_ml": 60.0, "lv_mass_g": 100.0, "la_max_ml": 70.0}
    expected |= {"lv_circumferential_strain_percent": -20.0, "lv_ef_percent": 60.0}
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_measured_ejection_fraction_stays_and_what_differs_is_told():
    table = {"sample": ["a", "b"], "lvedv": [100.0, 100.0], "lvesv": [40.0, 40.0]}
    found = cardiac_traits(table | {"lvef": [60.4, 70.0], "f.22420.2.0": [1.0, 1.0]})
    at = found.traits.names.index("lv_ef_percent")
    assert found.traits.values[:, at].tolist() == [60.4, 70.0]
    assert "more than 1 point in 1 samples" in " ".join(found.notes)
    assert "not from 'f.22420.2.0'" in " ".join(found.notes)


def test_tables_that_hold_no_heart_are_refused():
    with pytest.raises(InputError, match="No cardiac trait"):
        cardiac_traits({"sample": ["a"], "volume": [1.0]})
    with pytest.raises(InputError, match="'n/k' for sample 'b' \\(row 2\\)"):
        cardiac_traits({"sample": ["a", "b"], "lvedv": ["100", "n/k"]})
    with pytest.raises(InputError, match="needs a column height_cm"):
        cardiac_traits({"sample": ["a"], "lvedv": [1.0]}, index=["height1.7"])
    with pytest.raises(InputError, match="sample ids"):
        cardiac_traits({"name": ["a"], "lvedv": [1.0]})


@parametrize_with_checks([AllometricScaler()])
def test_the_scaler_is_an_estimator(estimator, check):
    check(estimator)


def _cohort(rng, n, power=2.0, noise=0.15):
    height = rng.normal(170, 10, n)
    return np.column_stack([1e-3 * height**power * np.exp(rng.normal(0, noise, n)), height])


def test_fitted_powers_are_the_true_ones_and_size_is_gone_in_people_not_seen():
    rng = np.random.default_rng(4)
    found, left, ratio = [], [], []
    for _ in range(200):
        train, test = _cohort(rng, 200), _cohort(rng, 200)
        scaler = AllometricScaler().fit(train)
        found.append(scaler.exponents_[0, 0])
        free = scaler.transform(test)[:, 0]
        left.append(np.corrcoef(np.log(free), np.log(test[:, 1]))[0, 1])
        ratio.append(np.corrcoef(np.log(test[:, 0] / test[:, 1]), np.log(test[:, 1]))[0, 1])
    assert abs(np.mean(found) - 2.0) < 4 * np.std(found) / np.sqrt(200)
    assert abs(np.mean(left)) < 4 * np.std(left) / np.sqrt(200)
    # What a plain ratio leaves: it takes one power away where two are due.
    assert np.mean(ratio) > 0.2


def test_two_sizes_are_fitted_together_and_missing_values_stay_missing():
    rng = np.random.default_rng(1)
    height, weight = rng.uniform(1.5, 1.9, 50), rng.uniform(50, 100, 50)
    x = np.column_stack([3 * height**1.7 * weight**0.4, height, weight])
    x[0, 0], x[1, 1] = np.nan, np.nan
    scaler = AllometricScaler(n_sizes=2).fit(x)
    assert scaler.exponents_[:, 0] == pytest.approx([1.7, 0.4])
    free = scaler.transform(x)
    assert np.isnan(free[:2, 0]).all()
    assert free[2:, 0] == pytest.approx(free[2, 0])
    with pytest.raises(InputError, match="leave no trait"):
        AllometricScaler(n_sizes=3).fit(x)


def _label_map(regions, path):
    array = sum(
        number * regions[name].array.astype(np.uint8)
        for number, name in enumerate(("lv", "myocardium"), 1)
        if name in regions
    )
    write_image(ImageVolume(array, _GRID), path)


def test_fields_of_a_biobank_become_a_table_that_scans_take_as_it_is(tmp_path):
    """A variant that thickens the wall is found; the others are not (the null arm)."""
    rng = np.random.default_rng(3)
    n, m = 240, 30
    dosage = rng.binomial(2, 0.3, (m, n))
    code = np.array([3, 2, 0], np.uint8)[dosage].reshape(m, -1, 4)
    packed = code[..., 0] | code[..., 1] << 2 | code[..., 2] << 4 | code[..., 3] << 6
    (tmp_path / "a.bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    (tmp_path / "a.bim").write_text("".join(f"1\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(m)))
    (tmp_path / "a.fam").write_text("".join(f"f s{i} 0 0 1 -9\n" for i in range(n)))
    heart = pl.DataFrame(
        {
            "IID": [f"s{i}" for i in range(n)],
            "p24100_i2": rng.normal(150, 20, n).round(2),
            "p24101_i2": rng.normal(60, 8, n).round(2),
            "p24105_i2": (90 + 12 * dosage[7] + rng.normal(0, 10, n)).round(2),
            "p50_i2": rng.normal(170, 9, n).round(1),
            "p21002_i2": rng.normal(75, 12, n).round(1),
        }
    )
    heart.write_csv(tmp_path / "heart.tsv", separator="\t")
    words = ["cardiac", "heart.tsv", "--index", "bsa", "--scale-by", "height_cm"]
    words += ["--body", str(tmp_path / "body.tsv"), "--out", str(tmp_path / "traits.tsv")]
    words[1] = str(tmp_path / words[1])
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "lv_mass_g: column 'p24105_i2'" in done.output
    assert "Powers of height_cm" in done.output
    scan = ["gwas", "--genotypes", str(tmp_path / "a.bed"), "--threshold", "1e-5"]
    scan += ["--phenotypes", str(tmp_path / "traits.tsv"), "--out", str(tmp_path / "o.parquet")]
    done = CliRunner().invoke(app, scan)
    assert done.exit_code == 0, done.output
    hits = pl.read_parquet(tmp_path / "o.parquet")
    assert set(hits["id"]) == {"rs7"}
    assert {"lv_mass_g", "lv_mass_g_per_bsa", "lv_mass_g_free_of_height_cm"} <= set(
        hits["phenotype"]
    )
    assert not any("edv" in name and "mass" not in name for name in hits["phenotype"])
    genes = pl.DataFrame(
        {"sample": heart["IID"], "TTN": (dosage[7] > 0).astype(int), "TP53": dosage[8] // 2}
    )
    genes.write_csv(tmp_path / "genes.csv")
    words = [
        "associate",
        "--phenotypes",
        str(tmp_path / "traits.tsv"),
        "--traits",
        "lv_mass_g,lv_edv_ml",
    ]
    words += ["--omics", f"mutation={tmp_path / 'genes.csv'}", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    pairs = pl.read_parquet(tmp_path / "out" / "pairs.parquet").sort("p")
    assert pairs.row(0, named=True)["omics"] == "TTN"
    assert pairs["p"][0] < 1e-6 < pairs["p"][1]


def test_frames_are_measured_and_a_broken_one_is_told(tmp_path):
    large, small = (
        _heart((30.0, 15.0, 15.0), (36.0, 20.0, 20.0)),
        _heart((24.0, 10.0, 10.0), (32.0, 18.0, 18.0)),
    )
    _label_map(large, tmp_path / "ed.nii.gz")
    _label_map(small, tmp_path / "es.nii.gz")
    (tmp_path / "frames.tsv").write_text(
        "sample\ted\tes\theart_rate_bpm\na\ted.nii.gz\tes.nii.gz\t60\nb\ted.nii.gz\tno.nii.gz\t70\n"
    )
    words = ["cardiac", str(tmp_path / "frames.tsv"), "--masks", "--out", str(tmp_path / "t.csv")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3, done.output
    assert "b: " in done.output
    found = pl.read_csv(tmp_path / "t.csv")
    direct = heart_measures(large, small)
    for name in ("lv_edv_ml", "lv_esv_ml", "lv_mass_g", "lv_wall_mm"):
        assert found[name][0] == pytest.approx(direct[name], rel=1e-6)
        assert found[name][1] is None or np.isnan(found[name][1])
    stroke = direct["lv_edv_ml"] - direct["lv_esv_ml"]
    assert found["lv_co_l_min"][0] == pytest.approx(stroke * 0.06)
    done = CliRunner().invoke(app, [*words, "--labels", "lv"])
    assert done.exit_code != 0
    assert "lv=1,myocardium=2" in str(done.exception)
