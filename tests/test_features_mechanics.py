"""Feature extraction: awkward regions, settings, long table, cohort, phenotype matrix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from radgen.errors import ConfigError, GeometryError, InputError
from radgen.features import (
    FAMILIES,
    Discretisation,
    ExtractionSettings,
    FeatureSpec,
    add,
    diagnose,
    extract,
    extract_cohort,
    preset,
    preset_names,
    read_settings,
    to_phenotypes,
)
from radgen.features import cohort as cohort_module
from radgen.features._families import load
from radgen.types import Geometry, ImageVolume, Mask

ALL = ("BTW3", "SUJT", "JJUI", "ZW7Z", "ITBB", "IAZD", "8QNN", "62GR", "KOBO")
EVERY = ExtractionSettings(aggregations=ALL, discretisation=Discretisation("number", 8))


def scan(shape: tuple[int, int, int] = (6, 9, 10), seed: int = 1) -> ImageVolume:
    values = np.random.default_rng(seed).normal(100.0, 20.0, shape)
    return ImageVolume(values, Geometry.from_spacing(shape, (2.0, 1.0, 1.5)), unit="HU")


def region(image: ImageVolume, *parts: tuple[slice, slice, slice], name: str = "roi") -> Mask:
    inside = np.zeros(image.geometry.shape, dtype=bool)
    for part in parts:
        inside[part] = True
    return Mask(inside, image.geometry, name)


def everything(image: ImageVolume) -> Mask:
    return region(image, (slice(None), slice(None), slice(None)))


def value(table: pl.DataFrame, feature: str, aggregation: str = "") -> float:
    rows = table.filter((pl.col("feature") == feature) & (pl.col("aggregation") == aggregation))
    assert rows.height == 1
    return float(rows["value"][0])


def test_every_declared_feature_is_returned_once() -> None:
    image = scan()
    table = extract(image, everything(image), settings=EVERY)
    load()
    expected = []
    for name in EVERY.families:
        family = FAMILIES.get(name)
        expected += [(name, s.name, a) for a in family.aggregations for s in family.specs]
    assert table.select("family", "feature", "aggregation").rows() == expected
    assert (table["status"] == "ok").all()
    assert table["value"].is_finite().all()
    assert table.columns == [
        "sample", "region", "filter", "family", "feature", "aggregation", "ibsi_code", "value",
        "unit", "status", "reason",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("morphology", 29), ("local_intensity", 2), ("intensity_statistics", 18),
        ("intensity_histogram", 23), ("glcm", 25), ("glrlm", 16), ("glszm", 16), ("gldzm", 16),
        ("ngtdm", 5), ("ngldm", 17),
    ],
)  # fmt: skip
def test_number_of_features(name: str, count: int) -> None:
    load()
    assert len(FAMILIES.get(name).specs) == count
    assert all(len(spec.ibsi_code) == 4 for spec in FAMILIES.get(name).specs)


def test_intensity_volume_histogram_has_five_features() -> None:
    load()
    codes = {spec.ibsi_code for spec in FAMILIES.get("intensity_volume_histogram").specs}
    assert codes == {"BC2M", "GBPN", "DDTU", "CNV2", "9CMM"}


def test_one_grey_level_is_undefined_with_a_reason_where_it_must_be() -> None:
    image = scan().with_array(np.full((6, 9, 10), 7.0))
    table = extract(image, everything(image), settings=EVERY)
    missing = table.filter(pl.col("value").is_nan())
    assert (missing["status"] == "undefined").all()
    assert missing["reason"].str.starts_with("undefined: ").all()
    assert (table.filter(~pl.col("value").is_nan())["status"] == "ok").all()
    undefined = set(missing["feature"].to_list())
    assert {"Correlation", "Intensity skewness", "Moran's I index"} <= undefined
    assert value(table, "Intensity variance") == pytest.approx(0.0, abs=1e-20)
    assert value(table, "Joint maximum", "IAZD") == 1.0
    assert value(table, "Coarseness", "KOBO") == 1e6
    assert value(table, "Busyness", "KOBO") == 0.0


def test_region_of_one_voxel() -> None:
    image = scan()
    mask = region(image, (slice(2, 3), slice(3, 4), slice(4, 5)))
    table = extract(image, mask, settings=EVERY)
    assert value(table, "Volume (voxel counting)") == pytest.approx(3.0)
    assert value(table, "Mean intensity") == pytest.approx(float(image.array[2, 3, 4]))
    assert value(table, "Dependence count percentage", "KOBO") == 1.0
    lone = table.filter((pl.col("family") == "glcm") & (pl.col("status") != "undefined"))
    assert lone.height == 0


def test_empty_region_gives_status_rows_and_no_error() -> None:
    image = scan()
    table = extract(image, region(image), settings=EVERY)
    assert table["value"].is_nan().all()
    assert set(table["reason"]) == {"undefined: the region is empty"}
    nothing = ExtractionSettings(resegment_range=(1e6, 2e6))
    table = extract(image, everything(image), settings=nothing)
    assert set(table["reason"]) == {
        "undefined: no voxel of the region is left after resegmentation"
    }
    assert diagnose(image, region(image), settings=EVERY).height == 60


def test_region_on_the_border_equals_the_same_region_inside() -> None:
    image = scan()
    far = np.full((10, 13, 14), 55.0)
    far[2:-2, 2:-2, 2:-2] = image.array
    wide = ImageVolume(far, Geometry.from_spacing(far.shape, (2.0, 1.0, 1.5)), unit="HU")
    inner = region(wide, (slice(2, -2), slice(2, -2), slice(2, -2)))
    families = tuple(name for name in EVERY.families if name != "local_intensity")
    settings = ExtractionSettings(
        aggregations=ALL, families=families, discretisation=Discretisation("number", 8)
    )
    here = extract(image, everything(image), settings=settings)["value"].to_numpy()
    there = extract(wide, inner, settings=settings)["value"].to_numpy()
    np.testing.assert_allclose(there, here, rtol=1e-10)


def test_nan_voxels_are_left_out() -> None:
    image = scan()
    values = np.array(image.array)
    values[0, 0, :3] = np.nan
    holed = image.with_array(values)
    table = extract(holed, everything(holed), settings=EVERY)
    assert table["value"].is_finite().all()
    assert set(table["reason"]) == {f"3 of {values.size} voxels hold no number"}
    kept = values[~np.isnan(values)]
    assert value(table, "Mean intensity") == pytest.approx(kept.mean())
    assert value(table, "Volume (voxel counting)") == pytest.approx(values.size * 3.0)
    filtered = ExtractionSettings(
        families=("intensity_statistics",), filters=({"filter": "mean", "size": 3},)
    )
    assert extract(holed, everything(holed), settings=filtered)["value"].is_finite().all()


def test_single_slice_in_two_and_three_dimensions() -> None:
    image = scan((1, 12, 11))
    table = extract(image, everything(image), settings=EVERY)
    texture = table.filter(pl.col("family").is_in(["glszm", "ngtdm", "ngldm"]))
    by_code = {
        code: texture.filter(pl.col("aggregation") == code)["value"].to_numpy()
        for code in ("8QNN", "62GR", "KOBO")
    }
    np.testing.assert_allclose(by_code["62GR"], by_code["8QNN"])
    np.testing.assert_allclose(by_code["KOBO"], by_code["8QNN"])


def test_many_regions_in_one_call_equal_one_by_one() -> None:
    image = scan()
    parts = {
        "left": region(image, (slice(0, 6), slice(0, 9), slice(0, 5))),
        "two parts": region(
            image,
            (slice(0, 2), slice(0, 3), slice(0, 3)),
            (slice(4, 6), slice(6, 9), slice(6, 10)),
        ),
    }
    settings = ExtractionSettings(filters=({"filter": "log", "sigma_mm": 2.0},))
    both = extract(image, parts, settings=settings, sample="p1")
    for name, mask in parts.items():
        alone = extract(image, {name: mask}, settings=settings, sample="p1", threads=1)
        mine = both.filter(pl.col("region") == name)
        assert mine.drop("value").equals(alone.drop("value"))
        np.testing.assert_allclose(
            mine["value"].to_numpy(), alone["value"].to_numpy(), rtol=1e-5, atol=1e-6
        )
    assert set(both["filter"]) == {"original", "log_sigma_mm=2_3D"}


def test_mask_on_another_grid_is_refused_with_both_grids() -> None:
    image = scan()
    other = Geometry.from_spacing(image.geometry.shape, (2.0, 1.0, 1.6))
    with pytest.raises(GeometryError, match="spacing 2 x 1 x 1.5.*\n.*spacing 2 x 1 x 1.6"):
        extract(image, Mask(np.ones(other.shape, bool), other), settings=EVERY)


def test_regions_of_one_name_and_series_are_refused() -> None:
    image = scan()
    with pytest.raises(InputError, match="same name"):
        extract(image, [everything(image), everything(image)], settings=EVERY)
    series = ImageVolume(
        np.zeros((2, *image.geometry.shape)), image.geometry, times_s=np.arange(2.0)
    )
    with pytest.raises(InputError, match="series"):
        extract(series, everything(image), settings=EVERY)


def test_levels_that_cannot_be_used_fail_with_a_reason() -> None:
    image = scan()
    table = extract(
        image, everything(image), settings=ExtractionSettings(discretisation=Discretisation())
    )
    failed = table.filter(pl.col("status") == "failed")
    assert set(failed["family"]) == {
        "intensity_histogram", "glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm",
    }  # fmt: skip
    assert failed["reason"].str.contains("Set a bin width").all()


def test_more_than_255_levels() -> None:
    image = scan()
    few = ExtractionSettings(discretisation=Discretisation("number", 255))
    many = ExtractionSettings(discretisation=Discretisation("number", 256))
    for settings in (few, many):
        assert extract(image, everything(image), settings=settings)["value"].is_finite().all()


def test_settings_name_the_nearest_key() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resegment_range'"):
        ExtractionSettings.from_mapping({"resegmentrange": [0, 1]})
    with pytest.raises(ConfigError, match="Did you mean 'value'"):
        ExtractionSettings.from_mapping({"discretisation": {"method": "width", "values": 2}})
    with pytest.raises(InputError, match="Did you mean 'ibsi-a'"):
        preset("ibsi-aa")
    with pytest.raises(ConfigError, match="3D aggregations"):
        ExtractionSettings.from_mapping({"by_slice": True})
    with pytest.raises(ConfigError, match="whole number"):
        ExtractionSettings.from_mapping({"distance": 1.5})


@pytest.mark.parametrize("name", preset_names())
def test_presets_round_trip(name: str) -> None:
    settings = preset(name)
    again = ExtractionSettings.from_mapping(settings.to_mapping())
    assert again.digest() == settings.digest()
    assert settings.name == name


def test_digest_knows_values_and_not_names(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "ibsi-c"\n')
    assert read_settings(path).digest() == preset("ibsi-c").digest()
    path.write_text('preset = "ibsi-c"\ndistance = 2\n')
    assert read_settings(path).digest() != preset("ibsi-c").digest()
    assert len({preset(n).digest() for n in preset_names() if n < "ibsi2"}) == 6


def test_a_family_is_registered_once() -> None:
    load()
    with pytest.raises(InputError, match="registered twice"):
        add("glcm", version=1, specs=(FeatureSpec("x"),))(lambda view: {})
    with pytest.raises(InputError, match="twice: x"):
        add("new", version=1, specs=(FeatureSpec("x"), FeatureSpec("x")))


def make_unit_table(unit: cohort_module.ScanUnit) -> pl.DataFrame:
    if unit.image.endswith("bad.nii"):
        raise InputError("The file cannot be read.\nsecond line")
    image = scan(seed=len(unit.sample))
    settings = ExtractionSettings.from_mapping(unit.settings)
    return extract(image, everything(image), settings=settings, sample=unit.sample, threads=1)


def test_cohort_goes_on_after_a_bad_scan_and_resumes(monkeypatch) -> None:
    monkeypatch.setattr(cohort_module, "_measure", lambda unit, _settings: make_unit_table(unit))
    rows = [
        {"sample": "a", "image": "a.nii", "mask": "m.nii"},
        {"sample": "bb", "image": "bad.nii", "mask": "m.nii", "labels": "tumour=1;rim=2+3"},
        {"sample": "ccc", "image": "c.nii", "mask": "m.nii"},
    ]
    settings = ExtractionSettings(families=("intensity_statistics", "ngtdm"))
    stored: dict[str, pl.DataFrame] = {}
    with ThreadPoolExecutor(2) as pool:
        table = extract_cohort(
            rows,
            settings=settings,
            executor=pool,
            on_done=lambda unit, frame: stored.update({unit.sample: frame}),
        )
    assert table["sample"].unique(maintain_order=True).to_list() == ["a", "bb", "ccc"]
    failed = table.filter(pl.col("sample") == "bb")
    assert failed.height == 1
    assert failed["reason"][0] == "InputError: The file cannot be read."
    asked = []

    def done(unit: cohort_module.ScanUnit) -> pl.DataFrame | None:
        asked.append(unit.labels)
        return stored.get(unit.sample)

    again = extract_cohort(pl.DataFrame(rows), settings=settings, done=done)
    assert again.equals(table, null_equal=True)
    assert asked[1] == (("tumour", (1,)), ("rim", (2, 3)))
    phenotypes = to_phenotypes(table)
    assert phenotypes.samples == ("a", "bb", "ccc")
    assert np.isnan(phenotypes.values[1]).all()
    assert np.isfinite(phenotypes.values[[0, 2]]).all()
    assert phenotypes.status.filter(pl.col("phenotype") == "").height == 1
    assert "roi|original|ngtdm|Contrast|KOBO" in phenotypes.names


def test_cohort_tables_are_checked() -> None:
    with pytest.raises(InputError, match="row 1: no mask"):
        extract_cohort([{"sample": "a", "image": "x"}], settings=EVERY)
    with pytest.raises(InputError, match="Labels"):
        extract_cohort(
            [{"sample": "a", "image": "x", "mask": "y", "labels": "one"}], settings=EVERY
        )


def test_two_values_of_one_feature_are_refused() -> None:
    image = scan()
    table = extract(
        image, everything(image), settings=ExtractionSettings(families=("ngtdm",)), sample="a"
    )
    with pytest.raises(InputError, match="share sample and feature"):
        to_phenotypes(pl.concat([table, table]))


def test_region_of_two_voxels_has_no_robust_deviation() -> None:
    image = scan()
    mask = region(image, (slice(2, 3), slice(3, 4), slice(4, 6)))
    table = extract(image, mask, settings=EVERY)
    row = table.filter(pl.col("feature") == "Intensity-based robust mean absolute deviation")
    assert row["status"].to_list() == ["undefined"]
    assert "no intensity lies between" in row["reason"][0]


def test_command_line_reads_measures_and_resumes(tmp_path, capsys) -> None:
    import nibabel
    import typer

    from radgen.cli.extract import extract as command

    image = scan((8, 9, 10))
    labels = np.zeros((10, 9, 8), np.int16)
    labels[2:8, 2:8, 1:5], labels[2:8, 2:8, 5:7] = 1, 2
    for name, array in (("image", image.array.T), ("mask", labels)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("featureClass:\n  ngtdm:\n  glcm: [Contrast]\n")
    files = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    out = tmp_path / "features.csv"
    with pytest.raises(typer.Exit) as end:
        command(*files, out=out, settings=parameters, label=["core=1", "all=1+2"])
    assert end.value.exit_code == 0
    found = pl.read_csv(out)
    assert found["region"].unique(maintain_order=True).to_list() == ["core", "all"]
    assert found.height == 12
    table = tmp_path / "cohort.csv"
    table.write_text(
        "sample,image,mask,labels\na,image.nii.gz,mask.nii.gz,core=1\n"
        "b,missing.nii.gz,mask.nii.gz,\n"
    )
    for attempt in ("first.parquet", "second.parquet"):
        with pytest.raises(typer.Exit) as end:
            command(
                out=tmp_path / attempt, cohort=table, store=tmp_path / "kept", layout="wide", jobs=1
            )
        assert end.value.exit_code == 3
    first, second = (pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("first", "second"))
    assert first.equals(second, null_equal=True)
    assert first["sample"].to_list() == ["a", "b"]
    assert len(list((tmp_path / "kept").glob("*.parquet"))) == 1
    assert "Scans that failed: b: " in capsys.readouterr().out
    with pytest.raises(InputError, match="not both"):
        command(*files, out=out, cohort=table)


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_order_of_the_file_does_not_matter(order: str) -> None:
    image = scan()
    marked = image.array.astype(np.float64).astype(np.dtype(np.float64).newbyteorder(order))
    other = ImageVolume(marked, image.geometry, unit="HU")
    settings = ExtractionSettings(
        families=("intensity_statistics",), filters=({"filter": "mean", "size": 3},)
    )
    found = extract(other, everything(other), settings=settings)
    assert found.equals(extract(image, everything(image), settings=settings))
