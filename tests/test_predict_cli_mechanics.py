"""Models from the command line: evaluate, freeze, predict elsewhere, validate, audit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.neighbors import KNeighborsClassifier
from typer.testing import CliRunner

from radgen import predict
from radgen._core.digest import digest
from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.predict.contract import drift_table, learn_contract
from radgen.predict.design import Block
from radgen.predict.inputs import read_inputs
from radgen.predict.portable import linear_score, logistic, risk_of_hazard
from radgen.types import Outcome, PhenotypeTable


def _call(*arguments):
    return CliRunner().invoke(app, [str(item) for item in arguments])


def _hospital(folder, seed, name, n=90, shift=0.0):
    rng = np.random.default_rng(seed)
    ids = [f"{name}{k:03d}" for k in range(n)]
    x = rng.normal(size=(n, 6)) + shift
    age = rng.normal(60, 9, n)
    sex = np.where(rng.random(n) < 0.5, "F", "M")
    eta = 1.5 * (x[:, 0] - shift) + 0.05 * (age - 60) + 0.8 * (sex == "M")
    gene = np.where(rng.random(n) < 1 / (1 + np.exp(-eta)), "mutant", "wildtype")
    time = np.round(rng.exponential(300 * np.exp(-eta)) + 1)
    features = pl.DataFrame({"ID": ids} | {f"original_f{j}": x[:, j] for j in range(6)})
    clinic = pl.DataFrame(
        {
            "ID": ids, "age": age, "sex": sex, "EGFR": gene, "days": np.minimum(time, 900),
            "status": np.where(time < 900, "dead", "alive"),
        }
    )  # fmt: skip
    features.write_csv(folder / f"{name}-features.csv")
    clinic.write_csv(folder / f"{name}-clinic.csv")
    return folder / f"{name}-features.csv", folder / f"{name}-clinic.csv"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    features, clinic = _hospital(folder, 1, "a")
    made = _call(
        "evaluate", "--features", features, "--outcomes", clinic, "--target", "EGFR",
        "--positive", "mutant", "--clinical", "age,sex", "--one-site", "A", "--repeats", 1,
        "--folds", 3, "--inner-folds", 3, "--out", folder / "out", "--freeze", folder / "m.json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "combined: evidence that EGFR can be predicted" in made.output
    return folder


def test_an_evaluation_is_reported_and_audited(frozen):
    assert (frozen / "out" / "report.html").stat().st_size > 100_000
    for what in ("out", "m.json"):
        found = _call("audit", frozen / what)
        assert found.exit_code == 0, found.output
        assert "none saw a row" in found.output
    found = _call("audit", frozen / "m.json", "--test", frozen / "a-clinic.csv")
    assert found.exit_code == 1
    assert "VIOLATED" in found.output
    assert _call("audit", frozen).exit_code != 0


def test_a_tampered_fit_log_is_found(frozen, tmp_path):
    from radgen.study.cache import Cache, codec_of

    entry = next((frozen / "out" / "cache" / "predict").glob("*"))
    codec = codec_of(predict.PredictionResult)
    result = Cache(frozen / "out" / "cache").load("predict", entry.name, codec)
    row = result.predictions.row(0, named=True)
    leak = result.fit_log.filter(
        (pl.col("repeat") == row["repeat"]) & (pl.col("fold") == row["fold"])
    )["row_set"][0]
    sets = pl.concat(
        [result.row_sets, pl.DataFrame({"row_set": [leak], "sample": [row["sample"]]})]
    )
    import dataclasses

    Cache(tmp_path / "cache").store(
        "predict", entry.name, dataclasses.replace(result, row_sets=sets), codec
    )
    found = _call("audit", tmp_path)
    assert found.exit_code == 1
    assert "no test row in any fit of its fold" in found.output


@pytest.mark.usefixtures("undrawn")
def test_a_bundle_predicts_and_is_judged_elsewhere(frozen):
    features, clinic = _hospital(frozen, 2, "b")
    found = _call("predict", frozen / "m.json", features, clinic, "--out", frozen / "p.csv")
    assert found.exit_code == 0, found.output
    table = pl.read_csv(frozen / "p.csv")
    assert table.height == 90
    truth = pl.read_csv(clinic)["EGFR"] == "mutant"
    from radgen.stats.discrimination import auc

    kept = table["status"] == "ok"
    area = auc(truth.filter(kept).to_numpy(), table.filter(kept)["score"].to_numpy())
    judged = (
        "validate", frozen / "m.json", features, clinic, "--outcomes", clinic, "--target", "EGFR",
        "--positive", "mutant", "--out", frozen / "v",
    )  # fmt: skip
    assert "cannot be called external" in str(_call(*judged).exception)
    assert "not external" in str(_call(*judged, "--one-site", "A").exception)
    found = _call(*judged, "--one-site", "B")
    assert found.exit_code == 0, found.output
    assert f"External validation for EGFR: the model predicts, AUC {area:.2f}" in found.output
    assert "In internal validation it was" in found.output
    drift = pl.read_parquet(frozen / "v" / "tables" / "validate-egfr-drift.parquet")
    assert drift["column"].to_list()[-2:] == ["age", "sex=M"]
    assert (drift["p_adjusted"] > 0.001).all()
    own = ("validate", frozen / "m.json", frozen / "a-features.csv", frozen / "a-clinic.csv")
    again = _call(*own, *judged[4:5], frozen / "a-clinic.csv", *judged[6:], "--one-site", "C")
    assert "trained the model" in str(again.exception)


def test_samples_that_trained_the_model_are_told(frozen):
    tables = [frozen / f"a-{name}.csv" for name in ("features", "clinic")]
    found = _call("predict", frozen / "m.json", *tables, "--out", frozen / "own.csv")
    assert "90 samples trained the model" in found.output


def test_another_unit_is_refused_and_a_single_odd_sample_gets_no_score(frozen):
    features, clinic = _hospital(frozen, 3, "c", n=40)
    table = pl.read_csv(clinic)
    table.with_columns(pl.col("age") * 365.25).write_csv(clinic)
    found = _call("predict", frozen / "m.json", features, clinic, "--out", frozen / "c.csv")
    assert isinstance(found.exception, InputError)
    assert "as for days in place of years" in str(found.exception)
    odd = table.with_columns(
        pl.when(pl.col("ID") == "c003").then(300.0).otherwise("age").alias("age"),
        pl.when(pl.col("ID") == "c005").then(pl.lit("X")).otherwise("sex").alias("sex"),
    )
    odd.write_csv(clinic)
    found = _call("predict", frozen / "m.json", features, clinic, "--out", frozen / "c.csv")
    assert found.exit_code == 0, found.output
    out = pl.read_csv(frozen / "c.csv")
    reasons = dict(out.filter(pl.col("status") == "refused").select("sample", "reason").iter_rows())
    assert "age is 300, trained on" in reasons["c003"]
    assert "sex is 'X', known are F, M" in reasons["c005"]
    assert out.filter(pl.col("sample").is_in(["c003", "c005"]))["score"].null_count() == 2


def test_one_level_of_a_category_means_what_it_meant_in_training(frozen):
    """A table of men only must not be read as a table of women."""
    features, clinic = _hospital(frozen, 4, "d", n=30)
    table = pl.read_csv(clinic)
    model = predict.read_bundle(frozen / "m.json")
    blocks, _ = predict.model_tables(model, [features, clinic])
    mixed = model.predict(blocks, any_range=True)
    for sex in ("F", "M"):
        table.filter(pl.col("sex") == sex).write_csv(clinic)
        some, _ = predict.model_tables(model, [features, clinic])
        found = model.predict(some, any_range=True)
        same = mixed.filter(pl.col("sample").is_in(found["sample"].to_list()))
        assert found["score"].to_list() == same["score"].to_list()


@pytest.mark.usefixtures("undrawn")
def test_survival_bundle_gives_risks(frozen):
    features, clinic = frozen / "a-features.csv", frozen / "a-clinic.csv"
    made = _call(
        "evaluate", "--features", features, "--outcomes", clinic, "--target", "days", "--event",
        "status", "--unit", "days", "--clinical", "age,sex", "--repeats", 1, "--folds", 3,
        "--inner-folds", 3, "--out", frozen / "s", "--freeze", frozen / "s.json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    features, clinic = _hospital(frozen, 5, "e")
    found = _call(
        "predict", frozen / "s.json", features, clinic, "--out", frozen / "r.parquet",
        "--horizon", 365,
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert pl.read_parquet(frozen / "r.parquet")["risk"].drop_nulls().is_between(0, 1).all()
    found = _call(
        "validate", frozen / "s.json", features, clinic, "--outcomes", clinic, "--target", "days",
        "--event", "status", "--claim", "temporal", "--horizon", 365, "--out", frozen / "sv",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    table = pl.read_parquet(frozen / "sv" / "tables" / "validate-days.parquet")
    assert {"dynamic_auc", "observed_expected", "integrated_brier"} <= set(table["metric"])


OTHER_MACHINE = {
    "OPENBLAS_CORETYPE": "Prescott",
    "OPENBLAS_NUM_THREADS": "2",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX",
}


def test_a_bundle_predicts_the_same_bytes_in_other_environments(frozen):
    features, clinic = _hospital(frozen, 6, "f", n=60)
    here, there = frozen / "here.csv", frozen / "there.csv"
    assert _call("predict", frozen / "m.json", features, clinic, "--out", here).exit_code == 0
    command = [sys.executable, "-W", "ignore", "-m", "radgen", "predict", frozen / "m.json"]
    subprocess.run(
        [*map(str, command), str(features), str(clinic), "--out", str(there)],
        env=os.environ | OTHER_MACHINE, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert here.read_bytes() == there.read_bytes()
    assert json.loads((frozen / "m.json").read_text())["encoding_version"] == 2


def test_portable_arithmetic_against_exact_numbers():
    from fractions import Fraction

    import mpmath

    rng = np.random.default_rng(0)
    x, beta = rng.normal(size=(20, 300)) * 10.0 ** rng.integers(-8, 8, 300), rng.normal(size=300)
    exact = [
        float(sum((Fraction(float(a * b)) for a, b in zip(row, beta, strict=True)), Fraction(0.25)))
        for row in x
    ]
    assert linear_score(x, beta, 0.25).tolist() == exact
    eta = np.concatenate((rng.normal(size=50) * 5, [-50.0, 50.0, 800.0, -800.0]))
    with mpmath.workdps(60):
        expected = [float(1 / (1 + mpmath.exp(-mpmath.mpf(v)))) for v in eta[:-2].tolist()]
        risks = [float(1 - mpmath.exp(-mpmath.mpf(0.3) * mpmath.exp(mpmath.mpf(v))))
                 for v in eta[:50].tolist()]  # fmt: skip
    assert logistic(eta)[:-2].tolist() == expected
    np.testing.assert_allclose(risk_of_hazard(eta[:50], 0.3), risks, rtol=1e-14)


def test_drift_is_quiet_without_and_loud_with_a_shift():
    rng = np.random.default_rng(3)
    base = Block("i", "imaging", tuple("abc"), rng.normal(size=(150, 3)))
    contract = learn_contract(base, np.ones(3, dtype=bool))
    fresh = []
    for _ in range(300):
        block = Block("i", "imaging", ("a",), rng.normal(size=(150, 1)))
        one = learn_contract(block, np.ones(1, dtype=bool))
        fresh += drift_table({"i": rng.normal(size=(80, 1))}, {"i": one})["p_value"].to_list()
    assert abs(np.mean(np.array(fresh) < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 300)
    shifted = rng.normal(size=(80, 3)) + np.array([0.0, 1.0, 0.0])
    moved = drift_table({"i": shifted}, {"i": contract})
    assert moved["p_adjusted"][1] < 1e-4
    assert moved["shift"][1] == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "EGRF"}, "EGFR"),
        ({"target": "EGFR"}, "Say which one is positive"),
        ({"target": "EGFR", "positive": "mutnat"}, "mutant"),
        ({"target": "EGFR", "positive": "mutant", "clinical": ["EGFR"]}, "cannot be a predictor"),
        ({"target": "days", "event": "age"}, "whether the event happened"),
        ({"target": "sex", "event": "status"}, "must be a number"),
        ({"target": "EGFR", "positive": "mutant", "features": []}, "no predictor"),
    ],
)
def test_bad_files_are_refused_with_a_remedy(frozen, change, message):
    options = {"features": [frozen / "a-features.csv"]} | change
    with pytest.raises(InputError, match=message):
        read_inputs(frozen / "a-clinic.csv", options.pop("target"), **options)


def test_cells_that_are_no_numbers_are_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ID,y,age\n" + "".join(f"s{k},{k % 2},{40 + k}\n" for k in range(20)))
    text = path.read_text().replace("s3,1,43", "s3,1,#NAME?").replace("s5,1,45", "s5,1,")
    path.write_text(text)
    found = read_inputs(path, "y", clinical=["age"])
    assert found.outcome.kind == "binary"
    assert found.blocks["clinical"]["age"].null_count() == 2
    assert "'#NAME?'" in found.notes[0]


@pytest.mark.usefixtures("undrawn")
def test_a_study_freezes_its_model(frozen, tmp_path):
    from radgen.study import Study

    features, clinic = _hospital(tmp_path, 7, "g")
    (tmp_path / "study.toml").write_text(
        f"""
[study]
name = "Frozen"
[features.table]
path = "{features.name}"
id = "ID"
[clinical]
path = "{clinic.name}"
id = "ID"
[clinical.columns]
age = "number"
sex = "category"
EGFR = {{ type = "binary", levels = ["wildtype", "mutant"] }}
[[predict]]
name = "EGFR"
outcome = "EGFR"
clinical = ["age", "sex"]
folds = 3
repeats = 1
inner_folds = 3
freeze = true
"""
    )
    run = Study.load(tmp_path / "study.toml").run(tmp_path / "results")
    assert run.complete
    assert _call("audit", tmp_path / "results").exit_code == 0
    other = _hospital(tmp_path, 8, "h")
    bundle = tmp_path / "results" / "models" / "egfr.json"
    found = _call("predict", bundle, *other, "--out", tmp_path / "p.csv")
    assert found.exit_code == 0, found.output
    assert "of 90 samples have a prediction" in found.output


def test_several_targets_give_one_adjusted_table(frozen):
    found = _call(
        "evaluate", "--features", frozen / "a-features.csv", "--outcomes", frozen / "a-clinic.csv",
        "--target", "EGFR=mutant", "--target", "sex=M", "--target", "age", "--repeats", 1,
        "--folds", 3, "--inner-folds", 2, "--out", frozen / "many",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "Evidence that EGFR can be predicted" in found.output
    assert "No evidence for 2 of 3 targets" in found.output
    table = pl.read_parquet(frozen / "many" / "tables" / "targets-all.parquet")
    assert table["kind"].to_list() == ["binary", "binary", "continuous"]
    assert (frozen / "many" / "report.html").stat().st_size > 50_000
    found = _call(
        "evaluate", "--features", frozen / "a-features.csv", "--outcomes", frozen / "a-clinic.csv",
        "--target", "EGFR=*", "--repeats", 1, "--folds", 3, "--inner-folds", 2, "--out",
        frozen / "each",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    table = pl.read_parquet(frozen / "each" / "tables" / "targets-all.parquet")
    assert table["target"].to_list() == ["EGFR=mutant", "EGFR=wildtype"]
    assert table["estimate"][0] == pytest.approx(table["estimate"][1], abs=0.1)


def _cycle(content):
    tree = [[0, 0], [0.0, 0.0], [0, -1], [0, -1], [0.5, 0.5]]
    content["model"] = {"trees": [tree], "base": None, "factor": 1.0}


def _far_column(content):
    tree = [[10**6, 0, 0], [0.0] * 3, [1, -1, -1], [2, -1, -1], [0.5] * 3]
    content["model"] = {"trees": [tree], "base": None, "factor": 1.0}


def _method(content):
    content["steps"]["imaging"][0]["state"]["transform"] = 1.0


def _stranger(content):
    content["steps"]["imaging"][0]["kind"] = "os.system"


def _foreign(content):
    part = {"estimator": ["subprocess.Popen", {"args": "true"}, {}, 1]}
    content["steps"]["imaging"][0] = {"name": "x", "kind": "x", "portable": part}


def _endless(content):
    content["intercept"] = content["model"]["intercept"] = 10**400


def _wide(content):
    content["model"]["beta"]["shape"] = [10**12, 10**12]


def _short(content):
    content["model"]["beta"] = {"array": "float", "shape": [1], "values": [0.5]}


def _columns(content):
    content["blocks"][0]["columns"] = content["blocks"][0]["columns"][:2]


@pytest.mark.parametrize(
    "change",
    [_cycle, _far_column, _method, _stranger, _foreign, _endless, _wide, _short, _columns],
)
def test_a_hostile_bundle_with_a_right_digest_is_refused(frozen, tmp_path, change):
    content = json.loads((frozen / "m.json").read_text())
    del content["digest"]
    change(content)
    content["digest"] = digest(json.dumps(content, sort_keys=True))
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps(content))
    found = _call("predict", path, frozen / "a-features.csv", "--out", tmp_path / "p.csv")
    assert isinstance(found.exception, FormatError)
    assert "wrong one" in str(found.exception)
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 200_000, '{"encoding_type": "radgen.model"}', "\x80\x04K\x01."]
)
def test_what_is_no_bundle_is_refused(tmp_path, text):
    path = tmp_path / "no.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match="bundle"):
        predict.read_bundle(path)


SPELT = {
    "mutant": ("IDH-mutant", "IDH mutant", "idh-mut", "Mutant", "MUT", "IDH1 R132H", "mutated",
               "mut."),
    "wildtype": ("wildtype", "WT", "IDH-wildtype", "Wild type", "wt", "IDH wt"),
    "unknown": ("unknown", "#N/A", "not tested", ""),
}  # fmt: skip


def _spelt(tmp_path, *more):
    cells = [cell for words in SPELT.values() for cell in words] + list(more)
    path = tmp_path / "spelt.csv"
    rows = "".join(f"p{k},{cell},{40 + k}\n" for k, cell in enumerate(cells))
    path.write_text("ID,IDH status,age\n" + rows)
    return path


def test_eight_spellings_of_a_mutation_are_one_class(tmp_path):
    path = _spelt(tmp_path)
    for given in ({"positive": "mutant"}, {"positive": "MUT"}, {"negative": "wild-type"}):
        found = read_inputs(path, "IDH status", clinical=["age"], **given)
        expected = [1.0] * 8 + [0.0] * 6 + [np.nan] * 4
        np.testing.assert_array_equal(found.outcome.values, expected)
        assert any("taken together" in note for note in found.notes)
        assert any("2 cells" in note and "missing" in note for note in found.notes)
    with pytest.raises(InputError, match="8 that read as altered"):
        read_inputs(path, "IDH status", clinical=["age"])


def test_a_value_whose_spellings_would_count_against_it_is_refused(tmp_path):
    path = _spelt(tmp_path)
    with pytest.raises(InputError, match="seem to mean the same as 'IDH1 R132H'"):
        read_inputs(path, "IDH status", clinical=["age"], positive="IDH1 R132H")
    found = read_inputs(path, "IDH status", clinical=["age"], positive="IDH1 R132H|")
    assert np.nansum(found.outcome.values) == 1
    found = read_inputs(path, "IDH status", clinical=["age"], positive="MUT|mutated")
    assert np.nansum(found.outcome.values) == 2
    subtypes = _spelt(tmp_path, "IDH-mutant codel")
    with pytest.raises(InputError, match="seem to mean the same as 'MUT'"):
        read_inputs(subtypes, "IDH status", clinical=["age"], positive="MUT")
    found = read_inputs(subtypes, "IDH status", clinical=["age"], positive="IDH-mutant codel")
    assert np.nansum(found.outcome.values) == 1


def test_one_scan_under_two_ids_is_never_parted(tmp_path):
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(60, 8)), rng.integers(0, 2, 60)
    ids = [f"a{k}" for k in range(60)] + [f"b{k}" for k in range(60)]
    both = pl.DataFrame({"sample": ids} | {f"f{j}": np.tile(x[:, j], 2) for j in range(8)})
    outcome = Outcome("y", "binary", tuple(ids), np.tile(y, 2).astype(float))
    blocks = {"imaging": PhenotypeTable.from_frame(both)}
    found = predict.evaluate(
        blocks, outcome, seed=1, folds=4, repeats=1, inner_folds=3, bootstrap=0,
        model=(KNeighborsClassifier(1), {}),
    )  # fmt: skip
    assert any("one scan under two ids" in note for note in found.warnings)
    row = found.estimate("imaging only")
    assert row["n_patients"] == 60
    assert row["ci_low"] < 0.5 < row["ci_high"]
    calls = pl.DataFrame({"sample": ids} | {f"g{j}": rng.integers(0, 2, 120) for j in range(3)})
    found = predict.evaluate(
        {"genomic": calls}, outcome, seed=1, folds=4, repeats=1, inner_folds=3, bootstrap=0
    )
    assert found.estimate("genomic only")["n_patients"] == 120


@pytest.mark.usefixtures("undrawn")
def test_a_harmonised_model_asks_for_the_site(frozen, tmp_path):
    clinic = pl.read_csv(frozen / "a-clinic.csv")
    site = pl.Series("site", [f"s{k % 3}" for k in range(clinic.height)])
    clinic.with_columns(site).write_csv(tmp_path / "c.csv")
    made = _call(
        "evaluate", "--features", frozen / "a-features.csv", "--outcomes", tmp_path / "c.csv",
        "--target", "EGFR", "--positive", "mutant", "--site", "site", "--harmonise", "combat",
        "--repeats", 1, "--folds", 3, "--inner-folds", 3, "--out", tmp_path / "o", "--freeze",
        tmp_path / "h.json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    call = ("predict", tmp_path / "h.json", frozen / "a-features.csv", "--out", tmp_path / "p.csv")
    assert "needs the site" in str(_call(*call).exception)
    assert _call(*call, "--one-site", "s1").exit_code == 0
    assert "not both" in str(_call(*call, "--one-site", "s1", "--site", "site").exception)
