"""The circle of links: what is drawn is what was given, and where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import AssociationResult, scan
from radgen.associate.top_links import top_links
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.plot import link_circle, style
from radgen.report.associations import render_association
from radgen.report.blocks import Figure
from radgen.types import OmicsTable, PhenotypeTable


def _links(ax) -> dict[int, object]:  # type: ignore[no-untyped-def]
    return {int(p.get_gid()[4:]): p for p in ax.patches if str(p.get_gid()).startswith("link")}


def _angle(ax, name: str) -> float:  # type: ignore[no-untyped-def]
    x, y = next(text.get_position() for text in ax.texts if text.get_text() == name)
    return float(np.rad2deg(np.arctan2(y, x)) % 360)


def test_a_ribbon_a_link_coloured_by_sign_as_wide_as_its_strength() -> None:
    ax = link_circle(
        ["a", "b", "c", "a"], ["Q", "P", "R", "R"], [4.0, -2.0, 1.0, 8.0],
        left_groups=["glcm", "shape", "glcm", "glcm"], right_groups=["X", "10", "2", "2"],
        positions=[1.0, 5.0, 3.0, 3.0], passed=[True, True, False, True],
    )  # fmt: skip
    drawn = _links(ax)
    assert sorted(drawn) == [0, 1, 2, 3]
    inks = [style.PALETTE[0] if k == 1 else style.PALETTE[1] for k in range(4)]
    from matplotlib.colors import to_hex

    assert [to_hex(drawn[k].get_edgecolor()) for k in range(4)] == inks  # type: ignore[attr-defined]
    assert [drawn[k].get_facecolor()[3] > 0 for k in range(4)] == [True, True, False, True]  # type: ignore[attr-defined]
    assert drawn[3].get_alpha() > drawn[0].get_alpha() > drawn[1].get_alpha()  # type: ignore[attr-defined]
    widths = []
    for k in range(4):
        x, y = drawn[k].get_path().vertices[:-1].T  # type: ignore[attr-defined]
        on_ring = np.hypot(x, y) > 0.5
        turn = np.unwrap(np.arctan2(y, x)[on_ring & (x > 0)])
        widths.append(np.ptp(turn))
    np.testing.assert_allclose(np.array(widths) / widths[2], [4, 2, 1, 8], rtol=1e-9)
    segments = [p for p in ax.patches if str(p.get_gid()).startswith("segment")]
    assert len(segments) == 2 + 3


def test_sides_chromosomes_and_genes_stand_in_order() -> None:
    genes = ["Q", "P", "R", "S", "T"]
    ax = link_circle(
        list("abcde"), genes, [1.0, 2, 3, 4, 5], left_groups=["f"] * 5,
        right_groups=["X", "10", "2", "2", "layer"], positions=[1, 1, 9, 3, np.nan],
    )  # fmt: skip
    heights = [np.sin(np.deg2rad(_angle(ax, name))) for name in ("S", "R", "P", "Q", "T")]
    assert heights == sorted(heights, reverse=True)
    assert all(90 < _angle(ax, name) < 270 for name in "abcde")
    assert all(not 90 < _angle(ax, name) < 270 for name in genes)


def test_names_of_forty_links_do_not_touch() -> None:
    n = 40
    ax = link_circle(
        [f"feature {k}" for k in range(n)], [f"G{k}" for k in range(n)], np.arange(1.0, n + 1),
        right_groups=[str(1 + k % 22) for k in range(n)],
    )  # fmt: skip
    ax.figure.draw_without_rendering()
    centre, edge = ax.transData.transform([(0, 0), (1.12, 0)])
    radius = (edge - centre)[0] * 72 / ax.figure.dpi
    for names in ([f"feature {k}" for k in range(n)], [f"G{k}" for k in range(n)]):
        turns = np.sort(np.unwrap(np.sort(np.deg2rad([_angle(ax, name) for name in names]))))
        gaps = np.sort(np.diff(turns))  # the widest may be the way round
        size = next(t.get_fontsize() for t in ax.texts if t.get_text() == names[0])
        assert gaps[0] * radius > 0.75 * size  # height of a capital letter


@pytest.mark.parametrize("bad", ["empty", "lengths", "infinite"])
def test_no_circle_without_links_of_finite_strength(bad: str) -> None:
    given = {"empty": ([], [], []), "lengths": (["a"], ["B"], [1.0, 2.0]),
             "infinite": (["a", "b"], ["B", "C"], [1.0, np.inf])}[bad]  # fmt: skip
    match = "b - C is not finite" if bad == "infinite" else "needs links"
    with pytest.raises(InputError, match=match):
        link_circle(*given)


GENES = pl.DataFrame({"chrom": ["7", "12"], "start": [55_019_017, 25_205_246],
                      "name": ["EGFR", "KRAS"]})  # fmt: skip


@pytest.fixture(scope="module")
def result() -> AssociationResult:
    rng = np.random.default_rng(4)
    ids = [f"s{k}" for k in range(60)]
    rna = rng.normal(size=(60, 4))
    x = rna[:, [0, 1, 3]] * [2, -2, 2] + rng.normal(size=(60, 3))
    families = {"f0": "glcm", "f1": "shape", "f2": "glcm"}
    images = PhenotypeTable.from_frame(
        pl.DataFrame({"sample": ids} | {f"f{k}": x[:, k] for k in range(3)})
    )
    names = ["egfr", "KRAS", "7", "17p13.1"]
    protein = rna[:, 1:2] + rng.normal(size=(60, 1))
    layers = [
        OmicsTable(ids, names, rna, "expression", "z"),
        OmicsTable(ids, ["KRAS"], protein, "protein", "z"),
    ]
    return scan(images, layers, families=families)


def test_top_links_know_their_segments(result: AssociationResult) -> None:
    rows = top_links(result.frame, GENES)
    assert rows["log10p"].is_sorted()
    assert rows["passed"].all()
    got = {(r["phenotype"], r["feature"]): (r["family"], r["segment"]) for r in rows.to_dicts()}
    assert got["f0", "egfr"] == ("glcm", "7")
    assert got["f1", "KRAS (expression)"] == ("shape", "12")
    assert got["f1", "KRAS (protein)"] == ("shape", "12")
    assert got["f2", "17p13.1"] == ("glcm", "17")
    assert np.sign(rows["strength"].to_numpy()).tolist() == rows["effect"].sign().to_list()
    plain = top_links(result.frame.with_columns(q_bh=pl.lit(1.0)))
    assert not plain["passed"].any()
    assert plain.height == min(20, result.frame.height)
    assert set(plain.filter(pl.col("omics") == "7")["segment"]) == {"expression"}
    many = pl.concat([result.frame.filter(pl.col("q_bh") <= 0.05)] * 30)
    assert top_links(many).height == 40
    assert top_links(result.frame.head(0)).height == 0


def test_result_and_report_draw_the_circle(result: AssociationResult) -> None:
    placed = replace(result, places=GENES)
    ax = placed.plot("circos")
    assert len(_links(ax)) == top_links(result.frame).height
    assert {"7", "12", "17"} <= {text.get_text() for text in ax.texts}
    drawn = [b for b in render_association(placed) if isinstance(b, Figure)]
    circle = [b for b in drawn if b.title == "Circle of links"]
    assert len(circle) == 1
    assert circle[0].data is not None
    assert (
        circle[0].data["segment"].to_list() == top_links(result.frame, GENES)["segment"].to_list()
    )
    tables, plain = placed.encode()
    assert AssociationResult.decode(tables, plain).places.equals(GENES)
    nothing = replace(result, frame=result.frame.with_columns(q_bh=pl.lit(1.0)))
    assert all(
        b.title != "Circle of links" for b in render_association(nothing) if isinstance(b, Figure)
    )
    with pytest.raises(InputError, match="needs links"):
        replace(result, frame=result.frame.head(0)).plot("circos")


def test_command_takes_the_places_of_genes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids, rna = [f"s{k}" for k in range(50)], rng.normal(size=(50, 3))
    x = rna * 2 + rng.normal(size=(50, 3))
    pl.DataFrame({"ID": ids} | {f"f{k}": x[:, k] for k in range(3)}).write_csv(tmp_path / "f.csv")
    pl.DataFrame({"gene": ["EGFR", "KRAS", "ABC"]} | dict(zip(ids, rna, strict=True))).write_csv(
        tmp_path / "rna.csv"
    )
    (tmp_path / "genes.bed").write_text("chr7\t100\t200\tEGFR\nchr12\t5\t9\tKRAS\n")
    done = CliRunner().invoke(app, [
        "associate", "--phenotypes", str(tmp_path / "f.csv"),
        "--omics", f"expression:log2={tmp_path / 'rna.csv'}",
        "--genes", str(tmp_path / "genes.bed"), "--out", str(tmp_path / "out"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Circle of links" in page
