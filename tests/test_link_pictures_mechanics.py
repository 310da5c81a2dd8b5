"""Pictures of links, alterations and trees: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import scan
from radgen.errors import InputError
from radgen.plot import link_graph, oncoprint, paired_forest, trimmed
from radgen.study.alterations import oncoprint_figure
from radgen.study.gather import Gathered
from radgen.study.matrix import Matrix
from radgen.types import OmicsTable, PhenotypeTable


def test_links_are_lines_between_names_in_an_order_with_few_crossings() -> None:
    ax = link_graph(["a", "b", "c"], ["C", "B", "A"], [3.0, -2.0, 5.0], groups={"a": "shape"})
    assert len(ax.patches) == 3
    words = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert (words["a"], words["b"], words["c"]) == (words["C"], words["B"], words["A"])
    with pytest.raises(InputError, match="needs links"):
        link_graph([], [], [])
    with pytest.raises(InputError, match="needs links"):
        link_graph(["a"], ["B"], [1.0, 2.0])


def test_several_intervals_of_an_effect_stand_under_each_other() -> None:
    table = np.array([[1.0, 0.5, 2.0], [2.0, 1.5, 3.0]])
    ax = paired_forest(["x", "y"], {"one": table, "two": table + 0.1}, null=1.0, log=True)
    assert [item.get_text() for item in ax.get_legend().get_texts()] == ["one", "two"]
    with pytest.raises(InputError, match="three columns"):
        paired_forest(["x"], {"one": table})


def test_alterations_stand_beside_the_phenotypes_they_go_with() -> None:
    rng = np.random.default_rng(0)
    ids = [f"s{i}" for i in range(40)]
    altered = (rng.random((40, 3)) < [0.5, 0.3, 0.0]).astype(float)
    altered[:5, 1] = np.nan
    values = np.column_stack([altered[:, 0] + 0.1 * rng.standard_normal(40), rng.random(40)])
    images = PhenotypeTable.from_frame(
        pl.DataFrame({"sample": ids, "rim": values[:, 0], "noise": values[:, 1]})
    )
    layer = OmicsTable(ids[::-1], ["EGFR", "TP53", "KRAS"], altered[::-1], "mutation", "binary")
    found = Gathered.__new__(Gathered)
    found.layers = {"calls": layer, "rna": OmicsTable(ids, ["G"], values[:, :1], "expression", "z")}
    matrix = Matrix(images, None, "", {}, None)
    result = scan(images, layer)
    figure = oncoprint_figure(found, matrix, "calls", result)
    assert figure is not None
    assert figure.data.columns == ["sample", "EGFR", "TP53", "rim", "noise"]
    order = {sample: k for k, sample in enumerate(figure.data["sample"])}
    rows = [order[sample] for sample in ids]
    assert figure.data["EGFR"].to_numpy()[rows].tolist() == altered[:, 0].tolist()
    assert figure.data["TP53"].to_numpy()[rows][:5].tolist() == [-1] * 5
    ranks = figure.data["rim"].to_numpy()[rows]
    assert (np.argsort(ranks) == np.argsort(values[:, 0])).all()
    ax = oncoprint(np.ones((1, 2), int), genes=["A"])
    figure.draw(ax)
    assert oncoprint_figure(found, matrix, "rna", result) is None


def test_names_lose_what_all_of_them_begin_with() -> None:
    assert trimmed(["HALLMARK_A", "HALLMARK_B"]) == ["A", "B"]
    assert trimmed(["T1_ED_Mean", "T1_ED_Median"]) == ["Mean", "Median"]
    assert trimmed(["x_A", "y_A"]) == ["x_A", "y_A"]
    assert trimmed(["A_", "A_B"]) == ["A_", "A_B"]
    assert trimmed(["same_x", "same_x"]) == ["same_x", "same_x"]
