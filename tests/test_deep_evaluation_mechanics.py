"""Networks inside an evaluation: the same folds, baselines, report and refusals as other models."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from radgen.deep import BagOfCells, DeepSurvival, ImageNetwork
from radgen.deep.learner import CellLearner, NetworkLearner
from radgen.errors import FormatError, InputError
from radgen.io import read_sample_arrays, write_sample_arrays
from radgen.predict import audit, evaluate, fit_model
from radgen.predict.learners import Part, RidgeLearner, make_learner
from radgen.stats.discrimination import auc
from radgen.types import Outcome, SampleArrays

pytestmark = pytest.mark.usefixtures("torch")
N = 36
IDS = tuple(f"p{k:02d}" for k in range(N))
FAST = {"seed": 1, "repeats": 1, "folds": 3, "inner_folds": 2, "bootstrap": 10}


def outcome(kind="binary", seed=0):
    y = (np.arange(N) % 2).astype(float)
    if kind == "binary":
        return Outcome("g", "binary", IDS, y)
    rng = np.random.default_rng(seed)
    return Outcome("os", "censored", IDS, rng.exponential(np.exp(-y)), rng.random(N) < 0.8)


def crops(side=8):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N, 1, side, side, side)).astype(np.float32)
    values[1::2] *= 0.2
    return SampleArrays(IDS, values, "crops", ("T1",), volume_mm3=rng.gamma(3, 100, N))


def bags():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N, 12, 3)).astype(np.float32)
    values[1::2, :6] += 4
    values[::3, 10:] = np.nan
    return SampleArrays(IDS, values, "bags")


def clinical():
    age = np.random.default_rng(3).normal(60, 9, N)
    return pl.DataFrame({"sample": IDS, "age": age})


def table(prefix, seed, p=6):
    x = np.random.default_rng(seed).normal(size=(N, p))
    return pl.DataFrame({"sample": IDS} | {f"{prefix}{j}": x[:, j] for j in range(p)})


def test_crops_are_judged_beside_the_same_baselines_on_the_same_folds():
    network = ImageNetwork(epochs=6, held_out=0.3, rate=0.02)
    groups = {item: f"patient{k // 2}" for k, item in enumerate(IDS)}
    # Two rows of a patient differ in class here, so the folds are of patients alone.
    result = evaluate({"crops": crops(), "clinical": clinical()}, outcome(), model=network,
                      groups=groups, **FAST)  # fmt: skip
    names = list(dict.fromkeys(result.frame["model"].to_list()))
    assert names == [
        "no information", "volume only", "clinical only", "imaging only", "combined"
    ]  # fmt: skip
    assert audit(result).passed
    plain = evaluate({"clinical": clinical()}, outcome(), groups=groups, **FAST)
    one, two = (
        r.predictions.filter(pl.col("model") == "clinical only").select("sample", "fold", "score")
        for r in (result, plain)
    )
    assert one.equals(two)
    assert set(result.frame.columns) == set(plain.frame.columns)
    assert result.adequacy["model"].to_list() == ["volume only", "clinical only"]
    row = result.estimate("imaging only")
    assert row["metric"] == "auc"
    assert row["estimate"] > 0.7
    assert any("combined" in text for text in result.statements())


def test_survival_views_and_bags_are_models_by_name():
    blocks = {"imaging": table("a", 1), "genomic": table("b", 2), "clinical": clinical()}
    options = FAST | {"folds": 2}
    result = evaluate(blocks, outcome("censored"), model=DeepSurvival(max_iter=5), **options)
    assert result.params["model"] == "DeepSurvival"
    assert audit(result).passed
    settings = result.thresholds.filter(pl.col("model") == "combined")["setting"].to_list()
    assert all("penalty" in text for text in settings)
    learner = make_learner(DeepSurvival(), "censored")[1]
    assert isinstance(learner, NetworkLearner)
    assert isinstance(learner.for_blocks([Part("clinical")]), RidgeLearner)
    with pytest.raises(InputError, match="censored outcomes; this one is binary"):
        make_learner(DeepSurvival(), "binary")


def test_entry_points_name_the_models():
    from radgen.predict.learners import installed_models

    if not installed_models():
        pytest.skip("radgen is not installed here: entry points are known after pip install")
    names = ("attention", "bag_of_cells", "image_network", "slice_network")
    for name in names:
        assert make_learner(name, "binary")[0] == name
    assert make_learner("deep_survival", "censored")[0] == "deep_survival"
    with pytest.raises(InputError, match=r"Did you mean 'image_network'\?"):
        make_learner("image_netwrok", "binary")


def test_a_bag_of_cells_is_fitted_in_the_fold_and_beats_chance():
    learner = CellLearner("binary")
    made = learner.for_blocks([Part("clinical"), Part("imaging", "bags", (12, 3))])
    values, y = bags().flat().astype(float), outcome().values
    age = np.random.default_rng(0).normal(size=(N, 1))
    x = np.hstack([age, values])
    which = np.arange(len(made.settings))
    fits = made.fit(x[:24], y[:24], which, 1, (1, 36))
    assert auc(y[24:], fits[5].predict(x[24:])) > 0.95
    book = BagOfCells(8, values="root", shape=(12, 3), random_state=1).fit(values[:24])
    np.testing.assert_array_equal(fits[0].book.words_, book.words_)
    assert isinstance(learner.for_blocks([Part("clinical")]), RidgeLearner)


def test_what_cannot_read_arrays_says_which_models_do():
    with pytest.raises(InputError, match="image_network, slice_network"):
        evaluate({"crops": crops()}, outcome(), **FAST)
    with pytest.raises(InputError, match="attention, bag_of_cells"):
        evaluate({"tiles": bags()}, outcome(), model=ImageNetwork(), **FAST)
    sites = dict.fromkeys(IDS, "A")
    with pytest.raises(InputError, match="only tables can be harmonised"):
        evaluate({"crops": crops()}, outcome(), model=ImageNetwork(), harmonise="combat",
                 sites=sites, **FAST)  # fmt: skip
    with pytest.raises(InputError, match="cannot be imputed"):
        evaluate({"crops": crops()}, outcome(), model=ImageNetwork(), missing_blocks="keep", **FAST)
    with pytest.raises(InputError, match="as channels"):
        evaluate({"a": crops(), "b": crops()}, outcome(), model=ImageNetwork(), **FAST)
    with pytest.raises(InputError, match="radgen deep fit"):
        fit_model({"crops": crops()}, outcome(), model=ImageNetwork(), seed=1)


def test_a_crop_under_two_ids_is_one_patient():
    doubled = np.array(crops().values)
    doubled[1] = doubled[0]
    arrays = SampleArrays(IDS, doubled, "crops")
    result = evaluate({"crops": arrays}, outcome(), model=ImageNetwork(epochs=1), **FAST)
    assert any("p01 = p00" in text for text in result.warnings)


def test_arrays_come_back_from_their_file_and_broken_files_are_refused(tmp_path):
    for arrays in (crops(), bags()):
        write_sample_arrays(arrays, tmp_path / "a.npz")
        again = read_sample_arrays(tmp_path / "a.npz")
        assert (again.samples, again.layout, again.names) == (
            arrays.samples, arrays.layout, arrays.names
        )  # fmt: skip
        np.testing.assert_array_equal(again.values, arrays.values)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:400])
    np.savez(tmp_path / "c.npz", values=np.zeros(3))
    np.savez(tmp_path / "d.npz", header=np.array([{"a": 1}], dtype=object))
    for name in "bcd":
        with pytest.raises(FormatError):
            read_sample_arrays(tmp_path / f"{name}.npz")
    with pytest.raises(InputError, match="missing"):
        SampleArrays(("a",), np.full((1, 1, 8, 8, 8), np.nan), "crops")
    with pytest.raises(InputError, match="have 3 names"):
        SampleArrays(("a",), np.zeros((1, 1, 8, 8, 8)), "crops", ("x", "y", "z"))


def test_nothing_loads_pytorch_before_a_network_is_fitted():
    code = (
        "import sys, radgen, radgen.deep, radgen.predict.learners\n"
        "from radgen.deep import ImageNetwork, DeepSurvival, AttentionPooling, BagOfCells\n"
        "ImageNetwork().get_params()\n"
        "assert not {'torch', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.usefixtures("undrawn")
def test_a_study_takes_crops_and_bags_and_names_what_is_wrong_with_them(tmp_path):
    from radgen.errors import ConfigError
    from radgen.predict.learners import installed_models
    from radgen.study import Study
    from study_cohort import small_study

    if not installed_models():
        pytest.skip("radgen is not installed here: entry points are known after pip install")
    study = small_study(tmp_path / "cohort")
    ids = pl.read_csv(tmp_path / "cohort" / "clinical.csv")["patient_id"].cast(pl.String).to_list()
    values = np.random.default_rng(0).normal(size=(len(ids), 10, 3))
    arrays = SampleArrays(tuple(ids), values, "bags")
    write_sample_arrays(arrays, tmp_path / "cohort" / "cells.npz")
    text = study.read_text()
    text = text[: text.index("[[associate]]")] + text[text.index("[report]") :]
    section = """
[[predict]]
name = "Cells"
outcome = "response"
positive = "responder"
images = false
arrays = ["cells.npz"]
model = "bag_of_cells"
folds = 2
repeats = 1
inner_folds = 2
"""
    study.write_text(text.replace("[report]", section + "\n[report]"))
    run = Study.load(study).run(tmp_path / "out")
    result = run.results["Cells"]
    assert result.params["model"] == "bag_of_cells"
    assert result.frame["model"].unique().sort().to_list() == ["imaging only", "no information"]
    for old, new, words in (
        ("cells.npz", "gone.npz", "There is no file"),
        ("bag_of_cells", "bag_of_sells", "Did you mean 'bag_of_cells'"),
        ("folds = 2", "freeze = true\nfolds = 2", "cannot be frozen"),
    ):
        study.write_text(text.replace("[report]", section.replace(old, new, 1) + "\n[report]"))
        with pytest.raises(ConfigError) as caught:
            Study.load(study).run(tmp_path / "other")
        assert any(words in str(item) for item in (*caught.value.problems, caught.value))


def test_a_network_is_not_frozen_and_says_so_before_it_is_trained(tmp_path):
    from radgen.predict.bundle import require_portable

    with pytest.raises(InputError, match="radgen deep fit"):
        require_portable("image_network", "binary")
    with pytest.raises(InputError, match="lasso"):
        require_portable(["auto", "deep_survival"], "censored")
    require_portable("auto", "binary")
    require_portable("weibull", "censored")
