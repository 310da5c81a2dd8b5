"""Treatment effects and rules from the command line, on a trial whose truth is known."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """Write a trial: the gene says whom the drug helps, age only how a patient fares."""
    folder = tmp_path_factory.mktemp("trial")
    rng = np.random.default_rng(6)
    n = 400
    gene, drug = rng.random(n) < 0.5, rng.random(n) < 0.5
    age = rng.normal(60, 8, n)
    eta = 0.9 * (age - 60) / 8 - 1.6 * (gene & drug) + 0.9 * (~gene & drug)
    time = rng.exponential(300 * np.exp(-eta)) + 1
    ids = [f"p{k}" for k in range(n)]
    frame = pl.DataFrame(
        {
            "ID": ids, "gene": np.where(gene, "mut", "wt"), "age": age,
            "arm": np.where(drug, "drug", "placebo").tolist(),
            "days": np.minimum(time, 900).round(2), "dead": (time < 900).astype(int),
        }
    )  # fmt: skip
    frame = frame.with_columns(
        pl.when(pl.col("ID") == "p0").then(None).otherwise(pl.col("arm")).alias("arm")
    )
    frame.write_csv(folder / "trial.csv")
    return folder


def test_predictive_and_prognostic_markers_are_told_apart(trial):
    done = CliRunner().invoke(app, [
        "treatment", "--outcomes", str(trial / "trial.csv"), "--target", "days", "--event", "dead",
        "--arm", "arm", "--control", "placebo", "--clinical", "gene,age", "--rule", "--folds", "4",
        "--repeats", "1", "--out", str(trial / "out"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "gene=wt is predictive" in done.output or "gene=mut is predictive" in done.output
    assert "Prognostic without evidence of being predictive: age" in done.output
    assert "is better than the better fixed policy" in done.output
    assert "must not guide the care" in done.output
    assert "1 patients have no arm" in done.output
    found = pl.read_csv(trial / "out" / "treatment_effects.csv")
    assert found["n"].to_list() == [399, 399]
    row = found.filter(pl.col("marker").str.starts_with("gene")).row(0, named=True)
    wild = row["treatment_high"] if row["marker"].endswith("wt") else row["treatment_low"]
    assert wild == pytest.approx(np.exp(0.9), rel=0.4)
    curve = pl.read_csv(trial / "out" / "treatment_rule-curve.csv")
    assert {"share", "gain", "random"} <= set(curve.columns)
    page = (trial / "out" / "report.html").read_text()
    assert "Whom to treat" in page
    assert "Prognostic and predictive markers" in page


def test_what_cannot_be_asked_is_refused(trial):
    base = ["treatment", "--outcomes", str(trial / "trial.csv"), "--target", "days", "--event",
            "dead", "--out", str(trial / "no")]  # fmt: skip
    for more, text in (
        (["--arm", "arm"], "Name markers"),
        (["--arm", "arms", "--clinical", "age"], "no column 'arms'"),
        (["--arm", "gene", "--control", "x", "--clinical", "age"], "control is 'x'"),
    ):
        done = CliRunner().invoke(app, [*base, *more])
        assert done.exit_code != 0
        assert text in done.output + str(done.exception), text
