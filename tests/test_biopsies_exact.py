"""Surroundings of biopsies: places, features, held-out predictions, maps of two clones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from typer.testing import CliRunner

from biopsies import MEANS, patients, schemes, write
from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.features import ExtractionSettings, local_features, points_to_lps
from radgen.features.local import local_region
from radgen.image.agreement import dice
from radgen.io import read_biopsies, read_coregistered
from radgen.predict import GaussianProcess, LocalSettings, biopsies, paint_sample
from radgen.predict.regional.gaussian import latent
from radgen.predict.regional.scores import (
    held_out,
    scheme_row,
    within_patient_auc,
)
from radgen.sim import simulate_clones
from radgen.types import Geometry, ImageVolume, Mask


def _oblique(shape: tuple[int, int, int] = (9, 11, 12)) -> Geometry:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.0, 1.5, 2.0])
    affine[:3, 3] = (-12.0, 30.0, 7.0)
    return Geometry(affine, shape)


def test_sphere_and_box_hold_the_voxels_of_their_definition() -> None:
    unit = Geometry.from_spacing((9, 9, 9))
    assert local_region(unit, np.array([4.0, 4, 4]), radius_mm=1.0)[1].sum() == 7
    assert local_region(unit, np.array([4.0, 4, 4]), radius_mm=1.0, shape="box")[1].sum() == 27
    box, inside, whole = local_region(unit, np.array([0.0, 4, 4]), radius_mm=1.0)
    assert (int(inside.sum()), whole, box[2]) == (6, 7, slice(0, 2))
    grid = _oblique()
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    for centre in grid.to_world(np.array([[4.0, 5.2, 6.1], [0.4, 1.0, 11.0]])):
        box, inside, _ = local_region(grid, centre, radius_mm=4.3)
        drawn = np.zeros(grid.shape, dtype=bool)
        drawn[box] = inside
        near = np.linalg.norm(grid.to_world(at) - centre, axis=1) <= 4.3
        assert (drawn.ravel() == near).all()


def test_features_of_a_place_are_the_same_in_every_frame_and_equal_the_definition() -> None:
    grid, rng = _oblique(), np.random.default_rng(0)
    image = ImageVolume(rng.normal(100, 10, grid.shape), grid)
    index_xyz = np.array([[6.0, 5.0, 4.0], [5.0, 6.0, 3.0]])
    lps = points_to_lps(index_xyz, "index", grid)
    ras = lps * [-1, -1, 1]
    assert np.allclose(points_to_lps(ras, "RAS", grid), lps, atol=1e-12)
    found = local_features({"T1": image}, lps, radius_mm=3.1, settings=MEANS)
    column = found.names.index("T1|original|intensity_statistics|Mean intensity")
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    for k in range(2):
        near = np.linalg.norm(grid.to_world(at) - lps[k], axis=-1) <= 3.1
        assert found.n_voxels[k, 0] == near.sum()
        assert found.values[k, column] == pytest.approx(image.array[near].mean(), rel=1e-12)
    # The same voxels stored along other axes, as another reader would hand them over.
    flipped = grid.affine.copy()
    flipped[:3, 3] = grid.to_world(np.array([[grid.shape[0] - 1.0, 0, 0]]))[0]
    flipped[:3, 2] *= -1
    other = ImageVolume(image.array[::-1].copy(), Geometry(flipped, grid.shape))
    again = local_features({"T1": other}, lps, radius_mm=3.1, settings=MEANS)
    assert np.allclose(again.values, found.values, rtol=1e-12, equal_nan=True)


def test_points_without_values_say_why() -> None:
    grid = Geometry.from_spacing((12, 12, 12))
    image = ImageVolume(np.random.default_rng(0).normal(size=grid.shape), grid)
    region = np.zeros(grid.shape, dtype=bool)
    region[3:9, 3:9, 3:9] = True
    places = np.array([[5.0, 5, 5], [20, 5, 5], [1, 1, 1], [3, 3, 3]])
    found = local_features(
        {"T1": image}, places, radius_mm=2.0, within=Mask(region, grid), settings=MEANS
    )
    assert found.reasons[0] == ""
    assert found.reasons[1] == "outside the grid of image 'T1'"
    assert found.reasons[2] == "outside the mask of image 'T1'"
    assert "only 52 %" not in found.reasons[3]
    assert found.reasons[3].startswith("only ")
    assert np.isnan(found.values[1:]).all()
    assert np.isfinite(found.values[0]).any()
    with pytest.raises(InputError, match="leave them out"):
        local_features({"T1": image}, places, settings=ExtractionSettings())
    with pytest.raises(InputError, match="cannot resample"):
        local_features({"T1": image}, places, settings=ExtractionSettings(spacing_mm=(1, 1, 1)))


@pytest.mark.parametrize("kind", ["state", "quantity"])
def test_process_equals_scikit_learn(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 12))
    y = x[:, 0] - 0.5 * x[:, 3] + rng.normal(size=40)
    y = (y > 0).astype(float) if kind == "state" else y
    model = GaussianProcess(kind=kind, max_components=4).fit(x, y)  # type: ignore[arg-type]
    steps = make_pipeline(StandardScaler(), PCA(svd_solver="full"))
    inner = steps.fit_transform(x)[:, : model.n_components_]
    width = np.sqrt(inner.var(axis=0).sum())
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(width, (width / 20, width * 50))
    new = rng.normal(size=(6, 12))
    placed = steps.transform(new)[:, : model.n_components_]
    found = model.explain(new)
    if kind == "state":
        own = GaussianProcessClassifier(kernel).fit(inner, y.astype(int))
        assert np.allclose(found.value, own.predict_proba(placed)[:, 1], rtol=1e-6)
        mean, variance = latent(own, placed)
        if hasattr(own, "latent_mean_and_variance"):
            theirs = own.latent_mean_and_variance(placed)
            assert np.allclose((mean, variance), theirs, rtol=1e-9)
    else:
        kernel += WhiteKernel(0.5, (1e-4, 10.0))
        theirs = (
            GaussianProcessRegressor(kernel, normalize_y=True)
            .fit(inner, y)
            .predict(placed, return_std=True)
        )
        assert np.allclose((found.value, found.sd), theirs, rtol=1e-5)


def test_process_keeps_the_contract_of_scikit_learn() -> None:
    check_estimator(GaussianProcess(), on_skip=None)


def test_leaving_biopsies_out_alone_flatters_and_leaving_patients_out_does_not() -> None:
    whole, single = schemes(1)
    # Features say nothing of a new patient: chance or, by the bias of leaving out, below it.
    assert whole < 0.55
    assert single > 0.75


def test_certain_predictions_are_right_more_often() -> None:
    x, y, who = patients(np.random.default_rng(0), local=3.0)
    found = held_out(GaussianProcess(kind="state"), x, y, who, "patient")[0]
    assert within_patient_auc(y, found.value, who)[0] > 0.9
    row = scheme_row("patient", found, y, who, kind="state", confidence=0.9)
    known = found.side >= 0.9
    right = (found.value >= 0.5) == (y > 0.5)
    assert row["accuracy_certain"] == right[known].mean()
    assert row["n_certain"] == known.sum() < len(y)
    assert row["accuracy_certain"] > row["accuracy_uncertain"]


def test_pairs_within_patients_by_hand() -> None:
    y = np.array([1.0, 0, 0, 1, 1, 0])
    score = np.array([0.9, 0.1, 0.9, 0.2, 0.3, 0.25])
    who = np.array(["a", "a", "a", "b", "b", "b"])
    # a: 0.9 > 0.1 right, 0.9 = 0.9 half; b: 0.2 < 0.25 wrong, 0.3 > 0.25 right.
    assert within_patient_auc(y, score, who) == (2.5 / 4, 4)
    assert np.isnan(within_patient_auc(y[3:5], score[3:5], who[3:5])[0])


def test_map_finds_the_clone_in_a_patient_that_had_no_biopsy(tmp_path: Path) -> None:
    """A clone that no image shows is not found: verification/biopsies.py."""
    tumours = simulate_clones(
        8, n_biopsies=4, contrast=4.0, patient_sd=0.3, size=12, spacing_mm=3.0, seed=5
    )
    table, images = write(tumours, tmp_path)
    scans = read_coregistered(images)
    how = LocalSettings(radius_mm=4.0, features=MEANS)
    kept = {name: scan for name, scan in scans.items() if name != "P008"}
    found, model = biopsies(read_biopsies(table), kept, label="mutant", settings=how)
    assert found.dropped["sample"].unique().to_list() == ["P008"]
    assert found.schemes["auc"][0] > 0.9
    maps = paint_sample(model, scans["P008"], every=2)
    own = tumours[-1]
    assert np.isfinite(maps.predicted.array).sum() == own.mask.n_voxels
    assert (np.isfinite(maps.predicted.array) == own.mask.array).all()
    assert maps.uncertainty.array[own.mask.array].max() <= 0.5
    guess = Mask(maps.predicted.array > 0.5, own.mask.geometry)
    assert dice(guess, Mask(own.clone, own.mask.geometry)) > 0.8


def test_command_writes_tables_maps_and_report(tmp_path: Path) -> None:
    tumours = simulate_clones(5, n_biopsies=3, contrast=3.0, size=12, spacing_mm=3.0, seed=2)
    table, images = write(tumours, tmp_path)
    settings = tmp_path / "local.toml"
    settings.write_text('families = ["intensity_statistics"]\n', encoding="utf-8")
    rows = pl.read_csv(table)
    wrong = rows.with_columns(x=-pl.col("x"), y=-pl.col("y"), frame=pl.lit("LPS"))
    mixed = pl.concat([rows.head(14), wrong.tail(1)])
    mixed.write_csv(table)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["biopsies", str(table), "--images", str(images), "--label", "mutant", "--out", str(out),
         "--settings", str(settings), "--paint", "P001", "--every", "4", "--permutations", "3",
         "--inside", "--zscore"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Only 5 patients" in done.output
    lost = pl.read_csv(out / "left-out.csv")
    assert any("row 15, biopsy P005-3: outside the grid" in text for text in lost["reason"])
    assert "in the frame RAS it would lie on the image" in "".join(lost["reason"])
    assert pl.read_csv(out / "predictions.csv").height == 15 - lost.height
    assert pl.read_csv(out / "schemes.csv")["left_out"].to_list() == ["patient", "biopsy"]
    for name in ("predicted", "uncertainty", "certain"):
        assert (out / "maps" / f"P001-{name}.nii.gz").is_file()
    assert (out / "maps" / "P001-predicted.png").is_file()
    assert "Leaving out a patient" in (out / "report.html").read_text(encoding="utf-8")


def test_tables_that_cannot_be_trusted_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "b.csv"
    table.write_text("patient,x,y,z,IDH\na,1,2,3,mutant\n", encoding="utf-8")
    with pytest.raises(InputError, match="A wrong frame mirrors places"):
        read_biopsies(table)
    assert read_biopsies(table, frame="ras")["frame"].to_list() == ["RAS"]
    table.write_text("patient,x,y,z,frame\na,1,?,3,LPS\nb,1,2,,RAS\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"row 1, y: '\?', row 2, z"):
        read_biopsies(table)
    table.write_text("patient,core,x,y,z,frame\na,1,1,2,3,LPS\na,1,1,2,4,LPS\n", encoding="utf-8")
    with pytest.raises(FormatError, match="stand twice: a 1"):
        read_biopsies(table)
    table.write_text("patient,x,y,z,frame\na,1,1,2,MNI\n", encoding="utf-8")
    with pytest.raises(FormatError, match="row 1: 'MNI'"):
        read_biopsies(table)
    images = tmp_path / "s.csv"
    images.write_text("patient,mask,T1\na,m.nii,\n", encoding="utf-8")
    with pytest.raises(FormatError, match="No file of image 'T1' in data row 1"):
        read_coregistered(images)
