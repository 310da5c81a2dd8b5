"""``radgen harmonise``: fit, store, apply elsewhere, gauge; stored transformers."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.phenotype import CorrelationFilter, RankNormaliser, VarianceFilter, batch_components
from radgen.phenotype.harmonise_table import fit_table, read_harmoniser
from radgen.phenotype.portable import read_transformer, write_transformer
from radgen.types import PhenotypeTable


def _call(*arguments):
    return CliRunner().invoke(app, [str(item) for item in arguments])


def _table(n=120, seed=0):
    rng = np.random.default_rng(seed)
    maker = np.arange(n) % 3
    kernel = rng.integers(0, 2, n)
    age = rng.uniform(30, 80, n).round(1)
    values = rng.normal(size=(n, 6)) + 2.0 * maker[:, None] - kernel[:, None]
    values += np.sin(age / 8)[:, None]
    values[0, 0] = np.nan
    return pl.DataFrame(
        {
            "sample": [f"s{k}" for k in range(n)],
            "patient": [f"p{k // 2}" for k in range(n)],
            "maker": [f"m{k}" for k in maker],
            "kernel": ["soft" if k else "sharp" for k in kernel],
            "age": age,
            "sex": rng.choice(["F", "M"], n),
            "levels": rng.integers(0, 4, n),
        }
        | {f"f{j}": values[:, j] for j in range(6)},
    ).with_columns(pl.col("f0").fill_nan(None))


@pytest.mark.parametrize(
    "options",
    [
        ("--batch", "maker", "--keep", "sex", "--smooth", "age"),
        ("--batch", "maker", "--method", "covbat", "--keep", "age"),
        ("--batch", "maker,kernel", "--leave", "age"),
        ("--batch", "maker", "--subject", "patient", "--method", "location-scale", "--keep", "age"),
        ("--batch", "maker", "--reference", "m1", "--leave", "age"),
    ],
)
def test_a_table_is_harmonised_and_the_model_serves_new_rows(tmp_path, options):
    table = _table()
    table.write_csv(tmp_path / "t.csv")
    table.head(40).write_csv(tmp_path / "new.csv")
    model, out = tmp_path / "m.json", tmp_path / "flat.csv"
    made = _call("harmonise", "fit", tmp_path / "t.csv", *options, "--model", model, "--out", out)
    assert made.exit_code == 0, made.output
    assert "1 features pass unchanged" in made.output
    flat = pl.read_csv(out)
    assert flat.columns == table.columns
    assert flat["f0"].null_count() == 1
    np.testing.assert_array_equal(flat["levels"], table["levels"])
    for j in range(1, 6):
        means = flat.group_by("maker").agg(pl.col(f"f{j}").mean())[f"f{j}"].to_numpy()
        assert np.ptp(means) < 0.5
    again = _call("harmonise", "apply", model, tmp_path / "new.csv", "--out", tmp_path / "n.csv")
    assert again.exit_code == 0, again.output
    new = pl.read_csv(tmp_path / "n.csv")
    if "--subject" not in options:
        np.testing.assert_allclose(new["f3"], flat["f3"].head(40), rtol=1e-12)
    assert not any(f'"{item}"' in model.read_text() for item in table["patient"].to_list())


def test_the_picture_shows_what_was_moved(tmp_path):
    table = _table().drop_nulls()
    table.write_csv(tmp_path / "t.csv")
    found = _call(
        "harmonise", "fit", tmp_path / "t.csv", "--batch", "maker", "--method", "location-scale",
        "--leave", "age,levels,kernel", "--features", "f1,f2,f3,f4,f5", "--mean-only", "--model",
        tmp_path / "m.json", "--out", tmp_path / "flat.csv", "--picture", tmp_path / "pca.png",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert (tmp_path / "pca.png").read_bytes()[:4] == b"\x89PNG"
    names = [f"f{j}" for j in range(1, 6)]
    ids = pl.Series("sample", [f"s{k}" for k in range(table.height)])
    flat = pl.read_csv(tmp_path / "flat.csv")
    before, after = (
        PhenotypeTable.from_frame(t.select(names).with_columns(ids)) for t in (table, flat)
    )
    batch = dict(zip(ids, table["maker"], strict=True))
    points = batch_components(before, after, batch)
    z = (before.values - before.values.mean(axis=0)) / before.values.std(axis=0)
    scores = np.abs(PCA(2).fit_transform(z))
    own = points.filter(pl.col("stage") == "before").select("first", "second").to_numpy()
    np.testing.assert_allclose(np.abs(own), scores, atol=1e-8)
    means = points.filter(pl.col("stage") == "after").group_by("group").agg(
        pl.col("first").mean(), pl.col("second").mean()
    )  # fmt: skip
    assert np.ptp(means.select("first", "second").to_numpy(), axis=0).max() < 1e-6
    with pytest.raises(InputError, match="three samples"):
        batch_components(before, after, {"s0": "a"})


def test_what_cannot_be_done_is_said(tmp_path):
    table = _table()
    table.write_csv(tmp_path / "t.csv")
    model = tmp_path / "m.json"

    def fails(*options):
        found = _call("harmonise", "fit", tmp_path / "t.csv", "--model", model, *options)
        assert found.exit_code != 0
        return str(found.exception)

    assert "Did you mean 'maker'" in fails("--batch", "makers")
    assert "one batch column" in fails("--batch", "maker,kernel", "--subject", "patient")
    assert "take no reference" in fails("--batch", "maker,kernel", "--reference", "m1")
    assert "No column fits" in fails("--batch", "maker", "--features", "zz*")
    assert "Unknown harmonisation" in fails("--batch", "maker", "--method", "combatt")
    _call("harmonise", "fit", tmp_path / "t.csv", "--model", model, "--batch", "maker")
    other = table.with_columns(maker=pl.lit("m9"))
    other.write_csv(tmp_path / "o.csv")
    refused = _call("harmonise", "apply", model, tmp_path / "o.csv", "--out", tmp_path / "x.csv")
    assert "not in the training rows: m9" in str(refused.exception)
    with pytest.raises(InputError, match="many equal values"):
        fit_table(table, batch=["maker"], features=["levels"])
    fitted = fit_table(table, batch=["maker"], keep=["sex"], features=["f1", "f2"])
    with pytest.raises(InputError, match="levels that were not there"):
        fitted.apply(table.with_columns(sex=pl.lit("X")))
    with pytest.raises(InputError, match="batch .* is missing"):
        fitted.apply(table.with_columns(maker=pl.lit(None, dtype=pl.String)))
    text = model.read_text()
    model.write_text(text.replace('"unseen": "refuse"', '"unseen": "leave"'))
    with pytest.raises(FormatError, match="was changed"):
        read_harmoniser(model)
    model.write_text(json.dumps({"encoding_type": "other"}))
    with pytest.raises(FormatError, match="no stored transformer"):
        read_harmoniser(model)


def test_the_gauge_is_printed_and_written(tmp_path):
    _table(90).write_csv(tmp_path / "t.csv")
    out = tmp_path / "auc.csv"
    found = _call(
        "harmonise", "gauge", tmp_path / "t.csv", "--batch", "kernel", "--leave", "age",
        "--shuffles", 1, "--folds", 2, "--out", out,
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "A linear model reads the batch" in found.output
    assert "1 features with many equal values were left out." in found.output
    table = pl.read_csv(out)
    assert set(table["reader"]) == {"linear", "forest"}
    assert table.height == 2 * 5 * 2


@pytest.mark.parametrize(
    "estimator", [VarianceFilter(max_ties=0.5), CorrelationFilter(0.5), RankNormaliser()]
)
def test_fitted_filters_are_stored_as_plain_json(tmp_path, estimator):
    x = np.random.default_rng(0).normal(size=(50, 6))
    x[:, 3] = x[:, 2] + 0.01 * x[:, 1]
    estimator.fit(x)
    key = write_transformer(estimator, tmp_path / "t.json", about={"n": 50})
    assert key == write_transformer(estimator, tmp_path / "u.json", about={"n": 50})
    back, about = read_transformer(tmp_path / "t.json")
    assert about == {"n": 50}
    np.testing.assert_array_equal(back.transform(x), estimator.transform(x))
    with pytest.raises(InputError, match="cannot be written"):
        write_transformer(_Strange().fit(x), tmp_path / "v.json")


class _Strange(RankNormaliser):
    """An estimator that is not radgen's."""
