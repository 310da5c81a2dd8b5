"""Nothing is fitted twice: what estimators count themselves is what the profile says."""

import hashlib

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from radgen import predict
from radgen.cli.app import app
from radgen.predict import engine
from radgen.types import Covariates, Outcome, PhenotypeTable

SEEN: list[str] = []


def _key(name, x, y, settings):
    found = hashlib.sha256()
    for part in (name, np.asarray(x).tobytes(), np.asarray(y).tobytes(), repr(sorted(settings))):
        found.update(part if isinstance(part, bytes) else part.encode())
    return found.hexdigest()


class Counting(LogisticRegression):
    """Writes down the data and settings of every fit."""

    def fit(self, X, y, sample_weight=None):
        settings = {k: v for k, v in self.get_params().items() if k != "random_state"}
        SEEN.append(_key("model", X, y, settings.items()))
        return super().fit(X, y, sample_weight)


class CountingSelector(SelectorMixin, BaseEstimator):
    """Keeps all but the last column, and counts."""

    def fit(self, X, y=None):
        SEEN.append(_key("selector", X, y, ()))
        self.n_features_in_ = np.shape(X)[1]
        return self

    def _get_support_mask(self):
        return np.arange(self.n_features_in_) < self.n_features_in_ - 1


def _cohort(n=60):
    rng = np.random.default_rng(5)
    ids = tuple(f"s{k}" for k in range(n))
    y = (rng.random(n) < 0.4).astype(float)
    x = rng.normal(size=(n, 5)) + y[:, None] * 0.5
    table = pl.DataFrame(
        {"sample": list(ids)} | {f"f{j}": x[:, j] for j in range(4)} | {"volume": x[:, 4]}
    )
    age = Covariates(ids, ("age",), rng.normal(size=(n, 1)) + y[:, None])
    blocks = {"images": PhenotypeTable.from_frame(table), "clinic": age}
    return blocks, Outcome("y", "binary", ids, y)


def _run():
    SEEN.clear()
    blocks, outcome = _cohort()
    with predict.profile_fits() as profile:
        found = predict.evaluate(
            blocks, outcome, seed=1, folds=3, repeats=2, inner_folds=3, bootstrap=0,
            model=(Counting(), {"C": [0.1, 1.0]}), selection=[CountingSelector()],
            fusion=("early", "stacked", "vote"), volume="volume",
        )  # fmt: skip
    return found, profile


def test_nothing_is_fitted_twice_and_the_profile_counts_all():
    found, profile = _run()
    assert len(SEEN) == len(set(SEEN)) > 0
    table = profile.table
    assert table["repeated"].sum() == 0
    counted = table.filter(
        (pl.col("fitted") == "model") | pl.col("fitted").str.contains("(?i)select")
    )
    assert counted["fits"].sum() == len(SEEN)
    # 6 folds: models of volume, images, clinic and both; 3 inner folds of 2 settings and 1 outer.
    models = table.filter(pl.col("fitted") == "model")
    assert models["fits"].sum() == 6 * 4 * (3 * 2 + 1)
    assert models["spared"].sum() == 6 * 4 * (3 * 2 + 1)  # both late fusions take over two each
    assert profile.folds == 6
    assert "0 on rows and inputs that the fold had fitted before" in profile.statements()[0]
    assert predict.audit(found).passed
    assert found.fit_log["fits"].sum() == table["fits"].sum()


def test_a_repeated_fit_is_found(monkeypatch):
    monkeypatch.setattr(engine, "_once", engine._fit_early)
    found, profile = _run()
    assert len(SEEN) > len(set(SEEN))
    assert profile.table["repeated"].sum() > 0
    assert not predict.audit(found).passed


@pytest.mark.usefixtures("undrawn")
def test_the_command_prints_the_profile(tmp_path):
    blocks, outcome = _cohort()
    blocks["images"].to_frame().write_csv(tmp_path / "f.csv")
    pl.DataFrame({"sample": list(outcome.samples), "y": outcome.values.astype(int)}).write_csv(
        tmp_path / "o.csv"
    )
    done = CliRunner().invoke(app, [
        "evaluate", "--features", str(tmp_path / "f.csv"), "--outcomes", str(tmp_path / "o.csv"),
        "--target", "y", "--positive", "1", "--repeats", "1", "--folds", "3", "--inner-folds", "3",
        "--profile", "--out", str(tmp_path / "out"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "fits in 3 folds" in done.output
    table = pl.read_csv(tmp_path / "out" / "profile.csv")
    assert set(table["stage"]) == {"inner", "outer"}
    assert table["repeated"].sum() == 0


@pytest.fixture(autouse=True)
def _forget():
    yield
    SEEN.clear()
