"""Pages of patients: place in the cohort, neighbours, model outputs, and when there is none."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics.pairwise import nan_euclidean_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import InputError
from radgen.io import read_feature_table
from radgen.phenotype import CohortReference, profile_sample
from radgen.predict import fit_model, write_bundle
from radgen.study.patients import _calls_of, _plain
from radgen.types import Outcome


def _cohort(folder: Path, n: int = 50) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    state = rng.integers(0, 2, n)
    values = rng.normal(size=(n, 12)) + 1.6 * state[:, None] * (np.arange(12) < 4)
    values[-1] = 40.0
    frame = pl.DataFrame(values, schema=[f"feature {k}" for k in range(12)])
    ids = [f"P{k:03d}" for k in range(n)]
    frame.insert_column(0, pl.Series("sample", ids)).write_csv(folder / "features.csv")
    pl.DataFrame(
        {
            "sample": ids,
            "EGFR": np.where(state == 1, "mutant", "wt"),
            "burden": rng.normal(10, 2, n),
            "operated": ["2021-03-04"] * n,
        }
    ).write_csv(folder / "calls.csv")
    return frame.with_columns(state=pl.Series(state))


def test_distance_is_that_of_scikit_learn_and_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    x, new = rng.normal(3, 4, size=(20, 6)), rng.normal(3, 4, size=(3, 6))
    fit = CohortReference().fit(x)
    scale = StandardScaler().fit(x)
    shrink = np.sqrt((len(x) - 1) / len(x))  # StandardScaler divides by n, the reference by n - 1.
    theirs, order = (
        NearestNeighbors(n_neighbors=20).fit(scale.transform(x)).kneighbors(scale.transform(new))
    )
    ours = fit.distances(new)
    assert np.allclose(np.take_along_axis(ours, order, 1), theirs * shrink / np.sqrt(6), rtol=1e-12)
    x[0, :2], new[0, 3] = np.nan, np.nan
    fit = CohortReference().fit(x)
    left, right = (new - fit.mean_) / fit.scale_, (x - fit.mean_) / fit.scale_
    assert np.allclose(fit.distances(new), nan_euclidean_distances(left, right) / np.sqrt(6))
    x[1, :4] = np.nan
    assert np.isinf(CohortReference().fit(x).distances(new)[:, 1]).all()


def test_percentiles_and_range_by_hand() -> None:
    fit = CohortReference().fit(np.array([[1.0], [2], [2], [3], [5]]))
    assert fit.percentiles(np.array([[2.0], [6.0], [0.0]]))[:, 0].tolist() == [40.0, 100.0, 0.0]
    # A quarter of the range of 4 is the slack.
    assert fit.outside(np.array([[6.0], [6.01], [0.0], [-0.01]]))[:, 0].tolist() == [
        False, True, False, True,
    ]  # fmt: skip


def test_reference_keeps_the_contract_of_scikit_learn() -> None:
    check_estimator(CohortReference(), on_skip=None)


def test_profile_learns_from_the_others_alone(tmp_path: Path) -> None:
    _cohort(tmp_path)
    table = read_feature_table(tmp_path / "features.csv")
    found = profile_sample(table, "P000", n_neighbours=3)
    others = table.values[1:]
    assert np.allclose(found.features["mean"], others.mean(axis=0))
    z = (table.values - others.mean(axis=0)) / others.std(axis=0, ddof=1)
    gap = np.sqrt(np.square(z[1:] - z[0]).mean(axis=1))
    order = np.argsort(gap)[:3]
    assert found.neighbours["sample"].to_list() == [table.samples[1 + k] for k in order]
    assert np.allclose(found.neighbours["distance"], gap[order])
    far = profile_sample(table, "P049")
    assert "12 of 12 features lie out of the range" in far.reason
    assert far.neighbours.height == 0
    with pytest.raises(InputError, match="no sample 'X'"):
        profile_sample(table, "X")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("pages")
    frame = _cohort(folder)
    trained = frame.slice(10, 38)
    outcome = Outcome(
        "EGFR", "binary", tuple(trained["sample"]), trained["state"].to_numpy().astype(float),
        levels=("wt", "mutant"),
    )  # fmt: skip
    model = fit_model(
        {"imaging": trained.drop("state")}, outcome, roles={"imaging": "imaging"}, seed=1
    )
    write_bundle(model, folder / "egfr.json")
    done = CliRunner().invoke(
        app,
        ["patient", "P000", "P020", "P049", "--features", str(folder / "features.csv"),
         "--calls", str(folder / "calls.csv"), "--outcomes", str(folder / "calls.csv"),
         "--model", str(folder / "egfr.json"), "--out", str(folder / "pages")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder / "pages", done.output


def _text(page: Path) -> str:
    text = re.sub(r"<(style|script|svg)[^>]*>.*?</\1>", " ", page.read_text("utf-8"), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_page_says_what_models_say_and_names_neighbours(pages: tuple[Path, str]) -> None:
    text = _text(pages[0] / "P000.html")
    assert "may guide the care of a patient" in text
    assert re.search(r"EGFR: probability of mutant 0\.\d+ \(plausibility of wt", text)
    assert re.search(r"Decided: (wt|mutant)|The model abstains", text)
    assert "so are" in text
    assert "of 49 others" in text
    assert "The cohort on two components" in text
    assert "2021-03-04" not in (pages[0] / "P000.html").read_text("utf-8")


def test_no_output_where_the_cohort_or_the_model_says_nothing(pages: tuple[Path, str]) -> None:
    text = _text(pages[0] / "P049.html")
    assert "No output: 12 of 12 features lie out of the range" in text
    assert "probability of" not in text
    assert "EGFR: no output" in text
    trained = _text(pages[0] / "P020.html")
    assert "This sample trained the model" in trained


def test_page_is_the_same_for_the_same_input(pages: tuple[Path, str], tmp_path: Path) -> None:
    again = CliRunner().invoke(
        app,
        ["patient", "P000", "--features", str(pages[0].parent / "features.csv"),
         "--calls", str(pages[0].parent / "calls.csv"),
         "--outcomes", str(pages[0].parent / "calls.csv"),
         "--model", str(pages[0].parent / "egfr.json"), "--out", str(tmp_path)],
    )  # fmt: skip
    assert again.exit_code == 0, again.output
    first, second = (p.read_bytes() for p in (pages[0] / "P000.html", tmp_path / "P000.html"))
    assert first == second


def test_words_of_the_page_are_those_that_were_looked_at(pages: tuple[Path, str]) -> None:
    words = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", _text(pages[0] / "P000.html"))
    assert hashlib.sha256(words.encode()).hexdigest()[:16] == GOLDEN, words


GOLDEN = "c570d48cab111967"


def test_study_gives_predictions_out_of_fold(tmp_path: Path) -> None:
    frame = _cohort(tmp_path)
    (tmp_path / "tables").mkdir()
    frame.drop("state").write_parquet(tmp_path / "tables" / "phenotypes.parquet")
    rng = np.random.default_rng(2)
    rows: list[dict[str, Any]] = [
        {"sample": s, "repeat": r, "model": m, "y": float(y), "event": None,
         "score": float(np.clip(0.2 + 0.6 * y + rng.normal(0, 0.1), 0, 1))}
        for s, y in frame.select("sample", "state").iter_rows()
        for r in range(3) for m in ("clinical", "images")
    ]  # fmt: skip
    out = pl.DataFrame(rows, schema_overrides={"event": pl.Boolean})
    out.write_parquet(tmp_path / "tables" / "predict-egfr-predictions.parquet")
    done = CliRunner().invoke(
        app, ["patient", "P001", "--study", str(tmp_path), "--out", str(tmp_path / "o")]
    )
    assert done.exit_code == 0, done.output
    text = _text(tmp_path / "o" / "P001.html")
    own = out.filter((pl.col("sample") == "P001") & (pl.col("model") == "images"))["score"]
    assert f"egfr: probability of positive {own.mean():.3g}" in text
    assert "study, out of fold (images)" in text
    assert f"SD {own.std():.2g} over 3 repeats" in text
    empty = CliRunner().invoke(app, ["patient", "--study", str(tmp_path / "o"), "--out", "x"])
    assert isinstance(empty.exception, InputError)


def test_a_call_that_was_not_made_is_none(tmp_path: Path) -> None:
    idh = ["#NAME?", "mutant", "WT", "Unknown", "mutant"]
    pl.DataFrame({"sample": list("abcde"), "IDH": idh}).write_csv(tmp_path / "calls.csv")
    calls = _plain(tmp_path / "calls.csv", None)
    assert _calls_of(calls, "a").row(0) == ("IDH", "not known", "3 others known")
    assert _calls_of(calls, "b").row(0) == ("IDH", "mutant", "so are 1 of 2 others")
