"""Frozen models: the same answer elsewhere, and no false claim of being external."""

import numpy as np
import polars as pl
import pytest

from radgen import predict
from radgen.errors import FormatError, InputError
from radgen.types import Outcome, PhenotypeTable


def _cohort(seed, prefix, n=80, kind="binary"):
    rng = np.random.default_rng(seed)
    ids = tuple(f"{prefix}{k:03d}" for k in range(n))
    x = rng.normal(size=(n, 8))
    frame = {"sample": list(ids)} | {f"f{j}": x[:, j] for j in range(8)}
    images = PhenotypeTable.from_frame(pl.DataFrame(frame))
    sex = pl.DataFrame({"sample": list(ids), "sex": np.where(rng.random(n) < 0.5, "F", "M")})
    if kind == "binary":
        y = (x[:, 0] + rng.normal(size=n) * 0.7 > 0).astype(float)
        outcome = Outcome("EGFR", "binary", ids, y)
    elif kind == "censored":
        time = rng.exponential(np.exp(-1.5 * x[:, 0]))
        outcome = Outcome("death", "censored", ids, np.minimum(time, 2.0), time < 2.0)
    else:
        outcome = Outcome("score", "continuous", ids, x[:, 0] + 0.5 * rng.normal(size=n))
    site = {item: f"{prefix}-site{k % 2}" for k, item in enumerate(ids)}
    return {"images": images, "clinical": sex}, outcome, site


@pytest.mark.parametrize(
    ("kind", "metric", "at_least"),
    [("binary", "auc", 0.75), ("censored", "harrell_c", 0.7), ("continuous", "r2", 0.5)],
)
def test_a_frozen_model_holds_in_other_patients(kind, metric, at_least):
    blocks, outcome, site = _cohort(1, "a", kind=kind)
    model = predict.fit_model(blocks, outcome, seed=1, sites=site, inner_folds=3)
    blocks, outcome, site = _cohort(2, "b", kind=kind)
    found = predict.validate_external(model, blocks, outcome, sites=site)
    values = dict(zip(found.frame["metric"], found.frame["estimate"], strict=True))
    assert values[metric] > at_least
    assert "External validation" in found.statements()[0]
    if kind == "censored":
        risk = model.risk(found.predictions["score"].to_numpy(), 1.0)
        assert ((risk >= 0) & (risk <= 1)).all()


def test_false_claims_are_refused():
    blocks, outcome, site = _cohort(1, "a")
    model = predict.fit_model(blocks, outcome, seed=1, sites=site, inner_folds=3)
    with pytest.raises(InputError, match="trained the model"):
        predict.validate_external(model, blocks, outcome, sites=site)
    other, truth, _ = _cohort(2, "b")
    same_site = dict.fromkeys(truth.samples, "a-site0")
    with pytest.raises(InputError, match="not external"):
        predict.validate_external(model, other, truth, sites=same_site)
    with pytest.raises(InputError, match="unknown"):
        predict.validate_external(model, other, truth)
    found = predict.validate_external(model, other, truth, claim="temporal")
    assert found.statements()[0].startswith("Temporal validation")
    same_patient = dict.fromkeys(truth.samples, "a001")
    with pytest.raises(InputError, match="trained the model"):
        predict.validate_external(model, other, truth, groups=same_patient, claim="temporal")


def test_missing_columns_are_named_and_far_values_counted():
    blocks, outcome, _ = _cohort(1, "a")
    model = predict.fit_model(blocks, outcome, seed=1, inner_folds=3)
    other, _, _ = _cohort(2, "b")
    fewer = other | {"images": other["images"].take(columns=[0, 1])}
    with pytest.raises(InputError, match="lacks 6 of the model's columns"):
        model.predict(fewer)
    frame = other["images"].to_frame().with_columns(pl.col("^f.*$") * 100)
    far = model.predict(other | {"images": PhenotypeTable.from_frame(frame)})
    assert far["outside"].mean() > 0.5
    assert model.predict(other)["outside"].mean() < 0.05


def test_hazard_table():
    blocks, outcome, _ = _cohort(1, "a", kind="censored")
    images = blocks["images"].take(columns=[0, 1])
    found = predict.survival_hazards({"images": images, "clinical": blocks["clinical"]}, outcome)
    assert found.frame["variable"].to_list() == ["f0", "f1", "sex=M"]
    assert found.frame["ci_low"][0] > 1
    assert found.plot("forest").has_data()
    assert any("f0 goes with worse death" in item for item in found.statements())


@pytest.mark.parametrize("kind", ["binary", "censored", "continuous"])
def test_a_bundle_predicts_the_same_to_the_last_bit(tmp_path, kind):
    blocks, outcome, site = _cohort(1, "a", kind=kind)
    model = predict.fit_model(
        blocks, outcome, seed=1, sites=site, harmonise="combat", inner_folds=3,
        selection="correlation+univariate", n_selected=5,
    )  # fmt: skip
    key = predict.write_bundle(model, tmp_path / "model.json")
    assert predict.write_bundle(model, tmp_path / "again.json") == key
    back = predict.read_bundle(tmp_path / "model.json")
    other, truth, place = _cohort(2, "b", kind=kind)
    expected = model.predict(other, sites=place)
    assert back.predict(other, sites=place).equals(expected)
    first = predict.validate_external(model, other, truth, sites=place)
    assert predict.validate_external(back, other, truth, sites=place).frame.equals(first.frame)
    text = (tmp_path / "model.json").read_text()
    assert not any(f'"{item}"' in text for item in outcome.samples)


@pytest.mark.parametrize(
    ("selection", "harmonise"),
    [("correlation+mrmr", "covbat"), ("lasso", "location-scale"), ("stability", None)],
)
def test_bundles_hold_every_named_selection_and_harmonisation(tmp_path, selection, harmonise):
    blocks, outcome, site = _cohort(1, "a")
    model = predict.fit_model(
        blocks, outcome, seed=1, sites=site, harmonise=harmonise, selection=selection,
        n_selected=3, inner_folds=3,
    )  # fmt: skip
    predict.write_bundle(model, tmp_path / "model.json")
    other, _, place = _cohort(2, "b")
    expected = model.predict(other, sites=place)
    found = predict.read_bundle(tmp_path / "model.json").predict(other, sites=place)
    assert found.equals(expected)


def test_changed_or_foreign_bundles_are_refused(tmp_path):
    blocks, outcome, _ = _cohort(1, "a")
    model = predict.fit_model(blocks, outcome, seed=1, inner_folds=3)
    path = tmp_path / "model.json"
    predict.write_bundle(model, path)
    path.write_text(path.read_text().replace('"threshold": 0', '"threshold": 1'))
    with pytest.raises(FormatError, match="was changed"):
        predict.read_bundle(path)
    path.write_text("[]")
    with pytest.raises(FormatError, match="no model bundle"):
        predict.read_bundle(path)
    from sklearn.neighbors import KNeighborsClassifier

    peer = predict.fit_model(blocks, outcome, seed=1, inner_folds=2, model=KNeighborsClassifier(5))
    with pytest.raises(InputError, match="cannot be written as plain numbers"):
        predict.write_bundle(peer, path)
