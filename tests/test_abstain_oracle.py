"""Models that abstain: conformal sets against MAPIE, exact coverage, and what a report says."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from radgen import predict
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.predict.abstain import AbstainingClassifier, decisions
from radgen.stats.conformal import class_p_values, conformal_quantile
from radgen.types import Outcome, PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "conformal"


def test_sets_and_thresholds_equal_mapie():
    y, p = np.genfromtxt(GOLDEN / "calibration.csv", delimiter=",", skip_header=1).T
    table = np.genfromtxt(GOLDEN / "sets.csv", delimiter=",", skip_header=1)
    new, wanted = table[:, 0], table[:, 1:].reshape(len(table), 4, 2)
    strange = np.where(y > 0.5, 1 - p, p)
    values = class_p_values(y, p, new, by_class=False)
    for k, level in enumerate((0.05, 0.1, 0.2, 0.3)):
        np.testing.assert_array_equal(values > level, wanted[:, k] > 0.5)
        limit = conformal_quantile(strange, level)
        np.testing.assert_array_equal(
            np.column_stack([new, 1 - new]) <= limit + 1e-12, wanted[:, k] > 0.5
        )


def test_p_values_of_exchangeable_samples_are_uniform_on_their_grid():
    # With n calibration samples the rank of one more is uniform: P(p <= j / (n + 1)) is exact.
    rng = np.random.default_rng(1)
    n, draws = 19, 4000
    below = np.zeros(3)
    for _ in range(draws):
        score = rng.random(n + 1)
        p = class_p_values(np.zeros(n), score[:n], score[n:])[0, 0]
        below += p <= np.array([0.05, 0.1, 0.5]) + 1e-12
    error = 4 * np.sqrt(0.25 / draws)
    np.testing.assert_allclose(below / draws, [0.05, 0.1, 0.5], atol=error)


def _draw(rng, n, effect=1.2):
    y = (rng.random(n) < 0.3).astype(float)
    x = rng.normal(size=(n, 4))
    x[:, 0] += effect * y
    return x, y


def test_split_classifier_covers_in_each_class_and_decides_more_with_more_signal():
    rng = np.random.default_rng(2)
    decided = []
    for effect in (0.0, 3.0):
        covered: list[list[float]] = [[], []]
        share = []
        for seed in range(120):
            x, y = _draw(rng, 400, effect)
            model = AbstainingClassifier(LogisticRegression(), level=0.1, random_state=seed)
            model.fit(x[:150], y[:150])
            inside = model.predict_set(x[150:])
            for level in (0, 1):
                own = y[150:] == level
                covered[level].append(inside[own, level].mean())
            share.append((model.decide(x[150:]) >= 0).mean())
        for values in covered:
            error = np.std(values) / np.sqrt(len(values))
            assert np.mean(values) > 0.9 - 4 * error
            assert np.mean(values) < 0.9 + 0.08  # few calibration samples of a class: 1 / (n + 1)
        decided.append(np.mean(share))
    assert decided[0] < 0.3
    assert decided[1] > 0.6


def test_groups_are_held_out_whole_and_bad_input_is_refused():
    rng = np.random.default_rng(3)
    x, y = _draw(rng, 60)
    groups = np.repeat(np.arange(20), 3)
    y = np.repeat(y[:20], 3)
    y[:9] = 1.0
    model = AbstainingClassifier(random_state=1).fit(x, y, groups=groups)
    held = model.calibration_score_
    assert len(held) % 3 == 0
    for fault in (0.0, 1.0):
        with pytest.raises(InputError, match="error level"):
            conformal_quantile([0.1], fault)
    with pytest.raises(InputError, match="Two classes"):
        model.fit(x, np.zeros(60))
    assert decisions(np.array([[0.5, 0.5], [0.5, 0.01], [0.01, 0.5], [0.01, 0.01]]), 0.1).tolist() \
        == [-1, 0, 1, -1]  # fmt: skip


def _tables(folder, n=120, effect=2.0):
    rng = np.random.default_rng(4)
    x, y = _draw(rng, n, effect)
    ids = [f"s{k}" for k in range(n)]
    features = pl.DataFrame({"ID": ids} | {f"f{j}": x[:, j] for j in range(4)})
    features.write_csv(folder / "f.csv")
    pl.DataFrame({"ID": ids, "gene": np.where(y > 0, "mut", "wt")}).write_csv(folder / "o.csv")
    return PhenotypeTable.from_frame(features.rename({"ID": "sample"})), Outcome(
        "gene", "binary", tuple(ids), y
    )


def test_the_table_is_what_the_p_values_say(tmp_path):
    images, outcome = _tables(tmp_path)
    options = {"seed": 1, "repeats": 2, "folds": 4, "inner_folds": 3, "bootstrap": 0}
    found = predict.evaluate({"images": images}, outcome, abstain=0.12, **options)
    plain = predict.evaluate({"images": images}, outcome, **options)
    assert plain.abstention.height == 0
    assert plain.frame.equals(found.frame)
    rows = found.abstention.filter(pl.col("model") == "imaging only").sort("level")
    assert 0.12 in rows["level"].to_list()
    assert rows["covered"].is_sorted(descending=True)
    assert (rows["covered"] > 1 - rows["level"] - 0.12).all()
    low = rows.filter(pl.col("level") == 0.05).row(0, named=True)
    high = rows.filter(pl.col("level") == 0.3).row(0, named=True)
    assert low["right"] >= high["right"] - 0.02
    assert low["decided"] < high["decided"]
    assert any("abstains from the others" in text for text in found.statements())
    assert "conformal" in found.methods()
    assert found.plot("abstention").has_data()
    with pytest.raises(InputError, match="error level between 0 and 1"):
        predict.evaluate({"images": images}, outcome, abstain=1.5, **options)


def test_the_command_reports_abstention(tmp_path):
    _tables(tmp_path)
    done = CliRunner().invoke(app, [
        "evaluate", "--features", str(tmp_path / "f.csv"), "--outcomes", str(tmp_path / "o.csv"),
        "--target", "gene", "--positive", "mut", "--abstain", "0.1", "--repeats", "1",
        "--inner-folds", "3", "--out", str(tmp_path / "out"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "abstains from the others" in done.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Wrong decisions of models that abstain" in page


def test_a_frozen_model_abstains_as_its_held_out_scores_say(tmp_path):
    images, outcome = _tables(tmp_path)
    model = predict.fit_model({"imaging": images}, outcome, seed=1)
    predict.write_bundle(model, tmp_path / "m.json")
    back = predict.read_bundle(tmp_path / "m.json")
    for a, b in zip(model.held_out, back.held_out, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum(map(len, back.held_out)) == 120
    done = CliRunner().invoke(app, [
        "predict", str(tmp_path / "m.json"), str(tmp_path / "f.csv"), "--abstain", "0.1",
        "--out", str(tmp_path / "p.csv"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Decisions: " in done.output
    found = pl.read_csv(tmp_path / "p.csv")
    zero, one = back.held_out
    row = found.row(0, named=True)
    score = row["score"]
    assert row["p_positive"] == pytest.approx((1 + (one <= score + 1e-12).sum()) / (len(one) + 1))
    assert row["p_negative"] == pytest.approx((1 + (zero >= score - 1e-12).sum()) / (len(zero) + 1))
    for item in found.iter_rows(named=True):
        plausible = [item["p_negative"] > 0.1, item["p_positive"] > 0.1]
        wanted = "abstains" if sum(plausible) != 1 else ("negative", "positive")[plausible[1]]
        assert item["decision"] == wanted
