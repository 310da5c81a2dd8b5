"""Crops, frozen networks, kept networks and their maps: from files, against plain definitions."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.deep import app
from radgen.deep import (
    CropSettings,
    FrozenModel,
    ImageNetwork,
    crop,
    deep_features,
    localisation_score,
    make_crops,
    saliency_map,
)
from radgen.errors import ConfigError, FormatError, InputError
from radgen.io import read_feature_table, read_image, write_image, write_mask
from radgen.types import Geometry, ImageVolume, Mask, SampleArrays

with_torch = pytest.mark.usefixtures("torch")


def ramp(shape=(30, 34, 38), turned=False):
    """A scan whose values are 100 z + 10 y + x of the patient's millimetres."""
    affine = np.diag([0.9, 1.1, 2.0, 1.0])
    affine[:3, 3] = (-20, 15, -33)
    if turned:
        angle = 0.3
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0],
                         [0, 0, -1]])  # fmt: skip
        affine[:3, :3] = turn @ affine[:3, :3]
    grid = Geometry(affine, shape)
    index = np.indices(shape).reshape(3, -1).T
    world = grid.to_world(index)
    values = (world @ [1.0, 10.0, 100.0]).reshape(shape)
    return ImageVolume(values, grid, modality="CT")


@pytest.mark.parametrize("turned", [False, True])
def test_a_crop_has_the_values_of_its_places_in_the_patient(turned):
    image = ramp(turned=turned)
    inside = np.zeros(image.array.shape, bool)
    inside[13:18, 15:20, 17:22] = True
    mask = Mask(inside, image.geometry, "tumour")
    low, high = -1e5, 1e5
    found = crop([image], mask, settings=CropSettings(8, 1.0, (low, high), standardise=False))
    centre = image.geometry.to_world(np.argwhere(inside).mean(axis=0, keepdims=True))[0]
    steps = np.arange(8) - 3.5
    wanted = (
        100 * (centre[2] + steps[:, None, None])
        + 10 * (centre[1] + steps[None, :, None])
        + (centre[0] + steps[None, None, :])
    )
    np.testing.assert_allclose(found.values[0] * (high - low) + low, wanted, atol=0.02)
    assert found.volume_mm3 == pytest.approx(125 * 0.9 * 1.1 * 2.0)
    np.testing.assert_allclose(found.geometry.to_world(np.array([[3.5] * 3]))[0], centre)


def test_crops_are_standardised_and_say_what_they_lose():
    image = ramp()
    mask = Mask(np.ones(image.array.shape, bool), image.geometry)
    found = crop([image], mask, settings=CropSettings(8, 2.0, with_mask=True))
    assert found.values.shape == (2, 8, 8, 8)
    assert found.values[0].mean() == pytest.approx(0, abs=1e-5)
    assert found.values[0].std() == pytest.approx(1, abs=1e-5)
    assert set(np.unique(found.values[1])) <= {0.0, 1.0}
    assert found.lost > 0.8
    with pytest.raises(InputError, match="is empty"):
        crop(
            [image],
            Mask(np.zeros(image.array.shape, bool), image.geometry),
            settings=CropSettings(),
        )
    flat = image.with_array(np.full(image.array.shape, 7.0))
    with pytest.raises(InputError, match="single value"):
        crop([flat], mask, settings=CropSettings())
    far = Mask(np.ones((2, 2, 2), bool), Geometry.from_spacing((2, 2, 2), origin_mm=(900, 0, 0)))
    with pytest.raises(InputError, match="beyond scan 1"):
        crop([image], far, settings=CropSettings())
    for bad in ({"size": 4}, {"spacing_mm": 0.0}, {"window": (3, 1)}, {"standardise": False}):
        with pytest.raises(InputError):
            CropSettings(**bad)


def cohort(folder, n=40, side=20):
    """Scans of noise; half have a bright cube of 6 voxels somewhere in the region."""
    rng = np.random.default_rng(0)
    rows, places = [], {}
    grid = Geometry.from_spacing((side,) * 3, (1.0, 1.0, 1.0), (-5.0, 7.0, 30.0))
    region = np.zeros((side,) * 3, bool)
    region[2:-2, 2:-2, 2:-2] = True
    write_mask(Mask(region, grid, "tumour"), folder / "mask.nii.gz")
    for k in range(n):
        values = rng.normal(size=(side,) * 3)
        if k % 2:
            at = rng.integers(3, side - 9, 3)
            place = tuple(slice(a, a + 6) for a in at)
            values[place] += 2.0
            places[f"p{k}"] = place
        write_image(ImageVolume(values.astype(np.float32), grid), folder / f"p{k}.nii.gz")
        rows.append({"sample": f"p{k}", "image": f"p{k}.nii.gz", "mask": "mask.nii.gz"})
    pl.DataFrame(rows).write_csv(folder / "scans.csv")
    state = ["mutant" if k % 2 else "wildtype" for k in range(n)]
    pl.DataFrame({"sample": [f"p{k}" for k in range(n)], "IDH": state}).write_csv(
        folder / "clinical.csv"
    )
    return grid, places


@with_torch
def test_a_kept_network_shows_the_lesion_that_it_goes_by(tmp_path):
    grid, places = cohort(tmp_path)
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    with (tmp_path / "scans.csv").open("a") as stream:
        stream.write("broken,bad.nii.gz,mask.nii.gz\n")
    run = CliRunner().invoke
    done = run(app, ["crops", "--cohort", str(tmp_path / "scans.csv"), "--size", "20",
                     "--out", str(tmp_path / "c.npz")])  # fmt: skip
    assert done.exit_code == 3, done.output
    assert "40 crops (1 x 20 x 20 x 20)" in done.output
    assert "broken: FormatError" in done.output
    done = run(app, ["fit", str(tmp_path / "c.npz"), "--outcomes", str(tmp_path / "clinical.csv"),
                     "--target", "IDH", "--positive", "mutant",
                     "--out", str(tmp_path / "net.npz")], catch_exceptions=False)  # fmt: skip
    assert "40 samples trained image_network of IDH" in done.output
    shares = []
    lesion = np.zeros(grid.shape, bool)
    lesion[places["p1"]] = True
    write_mask(Mask(lesion, grid, "lesion"), tmp_path / "lesion.nii.gz")
    for method in ("occlusion", "gradient"):
        out = tmp_path / f"{method}.nii.gz"
        done = run(app, ["saliency", str(tmp_path / "net.npz"), str(tmp_path / "c.npz"),
                         "--sample", "p1", "--image", str(tmp_path / "p1.nii.gz"), "--out",
                         str(out), "--mask", str(tmp_path / "lesion.nii.gz"), "--method", method,
                         "--patch", "4", "--step", "2"], catch_exceptions=False)  # fmt: skip
        assert "lies in" in done.output
        found = read_image(out)
        assert found.geometry.same_as(grid)
        assert out.with_name(f"{method}.png").stat().st_size > 5000
        shares.append(localisation_score(found, Mask(lesion, grid)))
    # The lesion fills 2.7 % of the crop.
    assert min(shares) > 0.3
    done = run(app, ["apply", str(tmp_path / "net.npz"), str(tmp_path / "c.npz"),
                     "--out", str(tmp_path / "scores.csv")], catch_exceptions=False)  # fmt: skip
    scores = pl.read_csv(tmp_path / "scores.csv")
    assert scores.height == 40
    high = scores.filter(pl.col("sample").is_in(list(places)))["score"].mean()
    assert high > 0.6


@with_torch
def test_occlusion_is_its_plain_definition_and_other_crops_are_refused():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 1, 8, 8, 8)).astype(np.float32)
    network = ImageNetwork(epochs=2, held_out=0, random_state=0).fit(x, np.arange(12) % 2)
    ids = tuple(f"s{k}" for k in range(12))
    affines = np.repeat(np.eye(4)[None], 12, axis=0)
    arrays = SampleArrays(ids, x, "crops", affines=affines)
    found = saliency_map(network, arrays, "s3", patch=4, step=4).array
    for place in ((slice(0, 4),) * 3, (slice(4, 8), slice(0, 4), slice(4, 8))):
        hidden = x[3:4].copy()
        hidden[(0, 0, *place)] = 0
        fall = network._raw(x[3:4]) - network._raw(hidden)
        np.testing.assert_allclose(found[place], fall[0], atol=1e-5)
    with pytest.raises(InputError, match="no sample"):
        saliency_map(network, arrays, "s99")
    with pytest.raises(InputError, match="their grids"):
        saliency_map(network, SampleArrays(ids, x, "crops"), "s3")
    with pytest.raises(InputError, match="gaps"):
        saliency_map(network, arrays, "s3", patch=2, step=3)
    from radgen.deep import apply_network

    about = {"layout": "crops", "names": ["0"], "shape": [1, 8, 8, 8],
             "arrays": {"spacing_mm": 1.0}}  # fmt: skip
    other = SampleArrays(ids, x, "crops", meta={"spacing_mm": 2.0})
    with pytest.raises(InputError, match="spacing_mm"):
        apply_network(network, about, other)


def network_file(folder, dimensions=3, size=8, channels=1, batch="n"):
    """Write a network by hand: mean, largest and smallest value of each channel."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    axes = list(range(2, 2 + dimensions))
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["a"], axes=axes, keepdims=0),
        helper.make_node("ReduceMax", ["x"], ["b"], axes=axes, keepdims=0),
        helper.make_node("ReduceMin", ["x"], ["c"], axes=axes, keepdims=0),
        helper.make_node("Concat", ["a", "b", "c"], ["features"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "by hand",
        [helper.make_tensor_value_info("x", kind, [batch, channels, *[size] * dimensions])],
        [helper.make_tensor_value_info("features", kind, [batch, 3 * channels])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data = model.SerializeToString()
    (folder / "net.onnx").write_bytes(data)
    text = f"""
name = "byhand"
file = "net.onnx"
sha256 = "{hashlib.sha256(data).hexdigest()}"
citation = "Nobody 2026"
licence = "CC0"
[input]
dimensions = {dimensions}
size = {size}
spacing_mm = 1.0
channels = {channels}
[output]
name = "features"
"""
    card = folder / "card.toml"
    card.write_text(text)
    return card


@pytest.mark.parametrize(("dimensions", "channels", "batch"), [(3, 1, "n"), (2, 3, "n"), (2, 1, 1)])
def test_frozen_features_are_those_of_the_crop(tmp_path, dimensions, channels, batch):
    pytest.importorskip("onnxruntime")
    cohort(tmp_path, n=3)
    card = network_file(tmp_path, dimensions, channels=channels, batch=batch)
    rows = pl.read_csv(tmp_path / "scans.csv").to_dicts()
    rows.append({"sample": "gone", "image": "gone.nii.gz", "mask": "mask.nii.gz"})
    table, about = deep_features(rows, card, folder=tmp_path)
    assert about["card"]["citation"] == "Nobody 2026"
    arrays, _, _ = make_crops(rows[:3], settings=CropSettings(8), folder=tmp_path)
    for k, sample in enumerate(arrays.samples):
        values = arrays.values[k, 0].astype(float)
        own = table.filter(pl.col("sample") == sample)
        assert set(own["family"]) == {"deep"}
        flat = values.reshape(1, -1) if dimensions == 3 else values.reshape(8, -1)
        wanted = [part(flat, axis=1).mean() for part in (np.mean, np.max, np.min)]
        wanted = np.repeat(wanted, channels)
        np.testing.assert_allclose(own["value"], wanted, atol=1e-5)
    last = table.filter(pl.col("sample") == "gone").row(0, named=True)
    assert last["status"] == "failed"


def test_the_command_writes_a_table_that_an_evaluation_reads(tmp_path):
    pytest.importorskip("onnxruntime")
    cohort(tmp_path, n=4)
    card, out = network_file(tmp_path), tmp_path / "deep.csv"
    done = CliRunner().invoke(
        app, ["features", "--model", str(card), "--cohort", str(tmp_path / "scans.csv"), "--out",
              str(out)], catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    assert "Nobody 2026 (CC0)" in done.output
    found = read_feature_table(out)
    assert found.values.shape == (4, 3)
    assert found.specs["family"].to_list() == ["deep"] * 3
    assert (tmp_path / "deep.csv.json").exists()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (('citation = "Nobody 2026"\n', ""), ConfigError, "citation"),
        (("channels = 1", "channels = 1\nflavour = 3"), ConfigError, "flavour"),
        (("size = 8", "size = 16"), FormatError, "the card says"),
        (('name = "features"', 'name = "logits"'), FormatError, "No output 'logits'"),
        (('"net.onnx"', '"../net.onnx"'), FormatError, "outside"),
        (('"net.onnx"', '"nest.onnx"'), FormatError, "There is no file"),
        (('sha256 = "', 'sha256 = "0'), ConfigError, "sha256"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path, change, kind, words):
    pytest.importorskip("onnxruntime")
    card = network_file(tmp_path)
    card.write_text(card.read_text().replace(*change))
    with pytest.raises(kind, match=words):
        FrozenModel(card)


def test_another_file_and_weights_elsewhere_are_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    card = network_file(tmp_path)
    data = (tmp_path / "net.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(data + b"\0")
    with pytest.raises(FormatError, match="another file"):
        FrozenModel(card)
    weight = onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    onnx.external_data_helper.set_external_data(weight, location="weights.bin")
    weight.data_location = onnx.TensorProto.EXTERNAL
    model = onnx.load_from_string(data)
    model.graph.initializer.append(weight)
    outside = model.SerializeToString()
    for text in (outside, b"no network at all"):
        (tmp_path / "net.onnx").write_bytes(text)
        known = hashlib.sha256(data).hexdigest()
        card.write_text(card.read_text().replace(known, hashlib.sha256(text).hexdigest()))
        with pytest.raises(FormatError, match="other files|cannot load"):
            FrozenModel(card)
        data = text


def test_several_sequences_become_channels_and_must_be_complete(tmp_path):
    cohort(tmp_path, n=4)
    rows = [
        {"sample": "a", "channel": "T1", "image": "p0.nii.gz", "mask": "mask.nii.gz"},
        {"sample": "a", "channel": "T2", "image": "p1.nii.gz", "mask": "mask.nii.gz"},
        {"sample": "b", "channel": "T2", "image": "p2.nii.gz", "mask": "mask.nii.gz"},
        {"sample": "b", "channel": "T1", "image": "p3.nii.gz", "mask": "mask.nii.gz"},
    ]
    found, failed, _ = make_crops(rows, settings=CropSettings(8), folder=tmp_path)
    assert found.names == ("T1", "T2")
    assert not failed
    single = [dict(row, channel="image") for row in (rows[1], rows[2])]
    alone, _, _ = make_crops(single, settings=CropSettings(8), folder=tmp_path)
    np.testing.assert_array_equal(found.values[:, 1], alone.values[:, 0])
    with pytest.raises(InputError, match="All samples need the same"):
        make_crops(rows[:3], folder=tmp_path)
    with pytest.raises(InputError, match="twice"):
        make_crops([rows[0], rows[0]], folder=tmp_path)
    with pytest.raises(InputError, match="row 1: no mask"):
        make_crops([{"sample": "a", "image": "x"}], folder=tmp_path)
