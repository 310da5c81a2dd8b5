"""Signature cards: arithmetic by hand, refusals, and validation that refits nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lifelines import CoxPHFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import concordance_index
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from radgen.associate import validate_signature
from radgen.errors import FormatError, InputError
from radgen.omics import card_names, compute, load_card
from radgen.omics._formula import evaluate, names_in
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable


def _table(**columns: list[float]) -> PhenotypeTable:
    n = len(next(iter(columns.values())))
    return PhenotypeTable.from_frame({"sample": [f"s{i}" for i in range(n)]} | columns)


def _scores(name: str, *tables: PhenotypeTable | OmicsTable) -> list[float | None]:
    return compute(load_card(name), *tables).frame["score"].to_list()


def test_every_card_is_valid_and_names_its_source() -> None:
    assert set(card_names()) == {"albi", "cyt", "gard", "hrd", "recurrence_21", "rsi", "ttpvi"}
    for name in card_names():
        card = load_card(name)
        assert card.name == name
        assert all(source.startswith("10.") for source in card.sources)


def test_the_radiosensitivity_index_is_the_weighted_sum_of_ranks() -> None:
    genes = ["AR", "JUN", "STAT1", "PRKCB", "RELA", "ABL1", "SUMO1", "PAK2", "HDAC1", "IRF1"]
    weights = [-0.0098009, 0.0128283, 0.0254552, -0.0017589, -0.0038171, 0.1070213, -0.0002509,
               -0.0092431, -0.0204469, -0.0441683]  # fmt: skip
    values = np.vstack([np.arange(10.0), np.arange(10.0)[::-1] ** 3])
    layer = OmicsTable(["a", "b"], genes, values, "expression", "log2")
    up = sum(w * rank for w, rank in zip(weights, range(1, 11), strict=True))
    down = sum(w * rank for w, rank in zip(weights, range(10, 0, -1), strict=True))
    assert _scores("rsi", layer) == pytest.approx([up, down])
    other = OmicsTable(["a", "b"], [*genes[:5], "cABL", *genes[6:]], values, "expression", "log2")
    assert _scores("rsi", other) == pytest.approx([up, down])
    holed = values.copy()
    holed[1, 3] = np.nan
    found = compute(load_card("rsi"), OmicsTable(["a", "b"], genes, holed, "expression", "log2"))
    assert found.frame["score"].to_list()[1] is None
    assert found.frame["reason"][1] == "missing PRKCB"
    assert found.frame["coverage"][1] == pytest.approx(1 - 0.0017589 / sum(map(abs, weights)))
    with pytest.raises(InputError, match="no table has AR"):
        compute(load_card("rsi"), other.take(columns=np.arange(1, 10)))


def test_the_adjusted_dose_follows_the_linear_quadratic_model() -> None:
    table = _table(rsi=[0.3, 0.6], n_fractions=[30.0, 5.0], dose_per_fraction_gy=[2.0, 5.0])
    want = [
        n * d * ((-math.log(s) - 0.05 * 4) / 2 + 0.05 * d)
        for s, n, d in ((0.3, 30, 2), (0.6, 5, 5))
    ]
    assert _scores("gard", table) == pytest.approx(want)
    # At 2 Gy a fraction the effect is the number of fractions times -log of the survival.
    assert want[0] == pytest.approx(-30 * math.log(0.3))


def test_the_21_gene_score_by_hand() -> None:
    genes = {"GRB7": 7.0, "ERBB2": 9.0, "ESR1": 10.0, "PGR": 8.0, "BCL2": 9.0, "SCUBE2": 9.0,
             "BIRC5": 6.0, "MKI67": 7.0, "MYBL2": 6.0, "CCNB1": 7.0, "AURKA": 7.0, "CTSV": 5.0,
             "MMP11": 7.0, "CD68": 8.0, "GSTM1": 9.0, "BAG1": 10.0}  # fmt: skip
    # Groups: HER2 max(8, 7.2) = 8; ER (8 + 9.6 + 9 + 9) / 4 = 8.9; proliferation 6.6; invasion 6.
    unscaled = 0.47 * 8 - 0.34 * 8.9 + 1.04 * 6.6 + 0.10 * 6 + 0.05 * 8 - 0.08 * 9 - 0.07 * 10
    table = _table(**{name: [value, value] for name, value in genes.items()})
    found = compute(load_card("recurrence_21"), table).frame
    assert found["score"][0] == pytest.approx(max(0.0, 20 * (unscaled - 6.7)))
    assert found["group"][0] == "low"
    fast = table.take(columns=np.arange(16))
    values = np.array(fast.values)
    values[:, [table.names.index(g) for g in ("BIRC5", "MKI67", "MYBL2", "CCNB1", "AURKA")]] = 9.0
    high = PhenotypeTable(table.samples, values, table.specs, table.status)
    want = 20 * (unscaled + 1.04 * (9.0 - 6.6) - 6.7)
    found = compute(load_card("recurrence_21"), high).frame
    assert found["score"][0] == pytest.approx(want)
    assert found["group"][0] == ("high" if want >= 31 else "intermediate" if want >= 18 else "low")


def test_other_cards_by_hand() -> None:
    table = _table(LOH=[20.0, 10.0], NtAI=[12.0, 15.0], LST=[10.0, 16.0])
    found = compute(load_card("hrd"), table).frame
    assert found["score"].to_list() == [42.0, 41.0]
    assert found["group"].to_list() == ["high", "low"]
    table = _table(bilirubin_umol_l=[10.0, 100.0], albumin_g_l=[40.0, 30.0])
    found = compute(load_card("albi"), table).frame
    assert found["score"].to_list() == pytest.approx([0.66 - 3.4, 1.32 - 2.55])
    assert found["group"].to_list() == ["grade 1", "grade 3"]
    assert _scores("cyt", _table(GZMA=[4.0], PRF1=[9.0])) == pytest.approx([math.sqrt(4.01 * 9.01)])


RULES = {
    "schema": 1, "name": "points", "title": "Points", "version": "1", "sources": ["10.1/x"],
    "what": "One point each for a large tumour, age and a low performance status.",
    "inputs": [{"name": "volume_mm3", "kind": "feature"}, {"name": "age", "kind": "clinical"},
               {"name": "kps", "kind": "clinical"}],
    "score": "(volume_mm3 >= 30000) + (age >= 60) + (kps < 100)",
    "groups": [{"name": "A", "at_most": 1}, {"name": "B", "above": 1}],
}  # fmt: skip


def test_the_two_trait_predictor_is_a_rule_of_two_readings() -> None:
    images = _table(internal_arteries=[1.0, 1.0, 0.0, 0.0], hypodense_halo=[0.0, 1.0, 0.0, 1.0])
    found = compute(load_card("ttpvi"), images).frame
    assert found["score"].to_list() == [1.0, 0.0, 0.0, 0.0]
    assert found["group"].to_list() == ["positive", "negative", "negative", "negative"]
    blank = compute(load_card("ttpvi"), _table(internal_arteries=[np.nan], hypodense_halo=[0.0]))
    assert blank.frame["group"].to_list() == [None]


def test_a_table_of_rules_as_a_card_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_text(json.dumps(RULES), "utf-8")
    images = _table(volume_mm3=[29_999.0, 30_000.0, 50_000.0, np.nan])
    clinic = _table(years=[70.0, 59.0, 60.0, 20.0], kps=[100.0, 90.0, 80.0, 100.0])
    found = compute(load_card(path), images, clinic, names={"age": "years"}).frame
    assert found["score"].to_list() == [1.0, 2.0, 3.0, None]
    assert found["group"].to_list() == ["A", "B", "B", None]
    with pytest.raises(InputError, match="No table has a column 'year'"):
        compute(load_card(path), images, clinic, names={"age": "year"})
    with pytest.raises(InputError, match="several tables"):
        compute(load_card(path), images, _table(volume_mm3=[1.0], age=[1.0], kps=[1.0]))


def test_missing_inputs_are_rescaled_where_the_card_says_so(tmp_path: Path) -> None:
    card = {k: RULES[k] for k in ("schema", "name", "title", "version", "sources", "what")} | {
        "inputs": [{"name": "a"}, {"name": "b", "centre": 2.0, "scale": 4.0}, {"name": "c"}],
        "weights": {"a": 1.0, "b": -2.0, "c": 1.0}, "intercept": 0.5,
        "missing": "rescale", "min_coverage": 0.7,
    }  # fmt: skip
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card), "utf-8")
    table = _table(a=[1.0, 1.0, np.nan], b=[6.0, np.nan, 6.0], c=[3.0, 3.0, 3.0])
    found = compute(load_card(path), table).frame
    assert found["score"].to_list() == [2.5, None, pytest.approx(0.5 + (3.0 - 2.0) / 0.75)]
    part = compute(load_card(path), table.take(columns=[1, 2]))
    assert part.absent == ("a",)
    assert part.frame["score"].to_list()[1] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "open('x')"}, "no function of signature cards"),
        ({"score": "age.__class__"}, "a card knows numbers"),
        ({"score": "[1 for x in age]"}, "a card knows numbers"),
        ({"score": "age if kps else 0"}, "a card knows numbers"),
        ({"score": "weight + 1"}, "unknown weight"),
        ({"score": "age +"}, "cannot be read"),
        ({"score": "9" * 3000}, "at most 2000 characters"),
        ({"weights": {"age": 1.0}}, "either weights or a score"),
        ({"colour": "red"}, "colour"),
        ({"sources": []}, "sources"),
        ({"groups": [{"name": "A"}]}, "no limit"),
        ({"missing": "rescale"}, "only weights"),
    ],
)
def test_unsound_cards_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(RULES | change), "utf-8")
    with pytest.raises(FormatError, match=message.replace("(", r"\(")):
        load_card(path)


def test_formulas_know_nan_and_what_is_undefined() -> None:
    values = {"x": np.array([1.0, np.nan, -1.0, 0.0]), "y": np.array([2.0, 2.0, 2.0, 2.0])}
    assert names_in("max(x, y) ** 2 - 3") == ("x", "y")
    assert evaluate("x > 0", values).tolist()[0] == 1.0
    assert np.isnan(evaluate("x > 0", values)[1])
    assert np.isnan(evaluate("log(x)", values)[2:]).all()
    assert evaluate("mean(x, y, 3)", values)[0] == 2.0
    assert evaluate("-min(x, y)", values)[3] == 0.0
    with pytest.raises(InputError, match="neither card nor file|no card"):
        load_card("rsj")


def _cohort(n: int = 80) -> tuple[PhenotypeTable, np.ndarray, list[str]]:
    rng = np.random.default_rng(3)
    score = rng.standard_normal(n) * 6 + 41
    ids = [f"s{i}" for i in range(n)]
    values = np.column_stack([score, rng.poisson(1.0, n), rng.poisson(1.0, n)]).astype(float)
    table = PhenotypeTable.from_frame(
        {"sample": ids, "LOH": values[:, 0], "TAI": values[:, 1], "LST": values[:, 2]}
    )
    return table, values.sum(axis=1), ids


def test_survival_of_a_score_equals_lifelines() -> None:
    table, score, ids = _cohort()
    rng = np.random.default_rng(4)
    time = rng.exponential(np.exp(-0.1 * (score - 41)))
    event = rng.random(80) < 0.7
    age = rng.standard_normal(80)
    outcome = Outcome("overall", "censored", ids, time, event)
    scores = compute(load_card("hrd"), table)
    found = validate_signature(scores, outcome, Covariates(ids, ("age",), age[:, None]))
    rows = {row["measure"]: row for row in found.table.iter_rows(named=True)}
    assert rows["c_index"]["estimate"] == pytest.approx(concordance_index(time, -score, event))
    import pandas as pd

    frame = pd.DataFrame({"x": score / score.std(ddof=1), "age": age, "t": time, "e": event})
    want = CoxPHFitter().fit(frame, "t", "e").summary.loc["x"]
    assert rows["hazard_ratio"]["estimate"] == pytest.approx(want["exp(coef)"], rel=1e-5)
    groups = np.where(score >= 42, "high", "low")
    p = multivariate_logrank_test(time, groups, event).p_value
    assert rows["logrank"]["log10p"] == pytest.approx(np.log10(p), abs=1e-8)
    assert found.statements()[0].startswith("The score alone: C-index")
    assert "computed as published" in found.methods()
    assert found.plot("outcome").figure is not None
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).statements() == found.statements()


def test_binary_and_continuous_outcomes_of_a_score() -> None:
    table, score, ids = _cohort()
    rng = np.random.default_rng(5)
    answer = (score + 8 * rng.standard_normal(80) > 42).astype(float)
    answer[:5] = np.nan
    scores = compute(load_card("hrd"), table)
    found = validate_signature(scores, Outcome("response", "binary", ids, answer))
    auc = roc_auc_score(answer[5:], score[5:])
    assert found.table["estimate"][0] == pytest.approx(auc)
    assert found.table["n"][0] == 75
    assert found.plot("outcome").figure is not None
    level = score + rng.standard_normal(80)
    found = validate_signature(scores, Outcome("level", "continuous", ids, level))
    want = spearmanr(score, level)
    assert found.table["estimate"][0] == pytest.approx(want.statistic)
    assert found.plot("outcome").figure is not None
    noise = Outcome("noise", "continuous", ids, rng.standard_normal(80))
    assert "no evidence" in validate_signature(scores, noise).statements()[-1]
    few = Outcome("few", "continuous", ids[:8], rng.standard_normal(8))
    with pytest.raises(InputError, match="Only 8 samples"):
        validate_signature(scores, few)


def test_points_by_rules_of_the_documentation(tmp_path: Path) -> None:
    page = Path(__file__).parents[1].joinpath("docs", "howto", "modules.md").read_text("utf-8")
    text = next(part for part in page.split("```") if 'name = "points"' in part)
    (tmp_path / "points.toml").write_text(text.removeprefix("toml"), encoding="utf-8")
    card = load_card(tmp_path / "points.toml")
    table = PhenotypeTable.from_frame(
        pl.DataFrame(
            {
                "sample": ["a", "b", "c", "d", "e"],
                "volume_mm3": [29999.9, 30000.0, 30000.0, 50000.0, None],
                "age": [59.0, 59.0, 60.0, 70.0, 70.0],
                "kps": [100.0, 100.0, 100.0, 90.0, 90.0],
            }
        )
    )
    found = compute(card, table).frame
    assert found["score"].to_list() == [0.0, 1.0, 2.0, 3.0, None]
    assert found["group"].to_list()[:4] == ["A", "A", "B", "B"]
