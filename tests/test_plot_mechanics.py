"""Every plot draws, returns its Axes, and leaves no global state behind."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from radgen import plot
from radgen.errors import InputError
from radgen.types import Geometry, ImageVolume
from report_example import HOSTILE, gwas

RNG = np.random.default_rng(3)
N = 60
NAMES = [*HOSTILE[:3], "a", "b"]
GRID = np.linspace(0, 1, 21)


def _time(scale: float) -> dict[str, Any]:
    time = np.arange(1.0, 21.0)
    survival = np.exp(-time / scale)
    return {
        "time": time,
        "survival": survival,
        "at_risk": np.arange(20, 0, -1),
        "ci_low": survival * 0.9,
        "ci_high": np.minimum(1, survival * 1.1),
        "censored": np.array([2.0, 7.0]),
    }


def _flow(ax: Any) -> Any:
    steps = pl.DataFrame(
        {
            "step": [HOSTILE[0], "kept"],
            "n": [10, 8],
            "dropped": [0, 2],
            "reason": ["", "a\nb\nc\nd\ne"],
        }
    )
    return plot.flow(steps, ax=ax)


def _sites(ax: Any) -> Any:
    frame = pl.DataFrame(
        {
            "stage": ["before"] * N + ["after"] * N,
            "site": NAMES * (2 * N // 5),
            "value": RNG.normal(size=2 * N),
        }
    )
    return plot.site_distribution(frame, xlabel="$ feature", ax=ax)


def _components(ax: Any) -> Any:
    frame = pl.DataFrame(
        {
            "stage": ["before"] * N + ["after"] * N,
            "group": NAMES * (2 * N // 5),
            "first": RNG.normal(size=2 * N),
            "second": RNG.normal(size=2 * N),
        }
    )
    return plot.components(frame, ax=ax)


def _genome(ax: Any, *, mirrored: bool = False) -> Any:
    frame = gwas(np.random.default_rng(0), 500).frame
    chrom, pos, log10p = (frame[name].to_numpy() for name in ("chrom", "pos", "log10p"))
    if mirrored:
        return plot.miami(chrom, pos, log10p, log10p, names=(HOSTILE[0], HOSTILE[2]), ax=ax)
    trait = np.array(NAMES * 100)
    return plot.manhattan(chrom, pos, log10p, trait=trait, labels=[(3, HOSTILE[0])], ax=ax)


def _map(ax: Any) -> Any:
    array = np.zeros((6, 7, 8), np.float32)
    array[1:5, 2:6, 2:7] = RNG.normal(size=(4, 4, 5))
    grid = Geometry.from_spacing((6, 7, 8), (3.0, 2.0, 2.0))
    behind = ImageVolume(RNG.random((6, 7, 8)), grid)
    return plot.stat_map(
        ImageVolume(array, grid), background=behind, threshold=0.5, label=HOSTILE[0],
        title=HOSTILE[2], ax=ax,
    )  # fmt: skip


COURSE = pl.DataFrame(
    {
        "day": [0, 30, 5, 60],
        "end_day": [None, None, 40, None],
        "kind": ["measurement", "measurement", "treatment", "event"],
        "what": [HOSTILE[1], HOSTILE[1], HOSTILE[0], HOSTILE[2]],
        "value": [1.5, 0.5, None, None],
        "source": [HOSTILE[2], HOSTILE[2], None, None],
    }
)
DRAWN: dict[str, Callable[[Any], Any]] = {
    "volcano": lambda ax: plot.volcano(
        RNG.normal(size=5), np.log10(RNG.random(5)), significant=[True] * 5, labels=NAMES, ax=ax
    ),
    "forest": lambda ax: plot.forest(
        NAMES, [1, 2, 0.5, np.nan, 1], [0.5] * 5, [3] * 5, null=1.0, log=True, ax=ax
    ),
    "set_ranking": lambda ax: plot.set_ranking(
        NAMES,
        [1, 2, -0.5, np.nan, 1],
        [-1, -9, -3, np.nan, 0],
        [5, 9, 200, 1, 7],
        significant=[True, True, False, False, True],
        ax=ax,
    ),
    "manhattan": _genome,
    "miami": lambda ax: _genome(ax, mirrored=True),
    "qq": lambda ax: plot.qq(np.log10(RNG.random(200)), name=HOSTILE[2], ax=ax),
    "regional": lambda ax: plot.regional(
        np.arange(50) * 1000 + 1,
        np.log10(RNG.random(50)),
        r2=np.where(np.arange(50) % 5, RNG.random(50), np.nan),
        lead_name=HOSTILE[0],
        genes=[("G1", 1, 9000), ("G2", 5000, 30000), (HOSTILE[2], 40000, 49000)],
        ax=ax,
    ),
    "phewas": lambda ax: plot.phewas(
        NAMES,
        np.log10([1e-9, 0.2, np.nan, 1e-30, 0.01]),
        groups=["b", HOSTILE[0], "b", "a", "a"],
        effects=[1, -1, 0, -2, np.nan],
        title=HOSTILE[2],
        ax=ax,
    ),
    "stat_map": _map,
    "surface_map": lambda ax: plot.surface_map(
        [[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]],
        [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]],
        [1.0, -2.0, np.nan, 0.5],
        label=HOSTILE[0],
        title=HOSTILE[2],
        ax=ax,
    ),
    "heatmap": lambda ax: plot.heatmap(
        RNG.normal(size=(5, 3)), row_names=NAMES, column_names=NAMES[:3], marks=np.eye(5, 3), ax=ax
    ),
    "clustermap": lambda ax: plot.clustermap(
        RNG.normal(size=(5, 5)),
        row_names=NAMES,
        column_names=NAMES,
        column_notes={HOSTILE[0]: ["a", "b", "", "a", HOSTILE[2]]},
        ax=ax,
    ),
    "module_trait": lambda ax: plot.module_trait(
        RNG.uniform(-1, 1, (5, 2)), modules=NAMES, traits=NAMES[:2], ax=ax
    ),
    "oncoprint": lambda ax: plot.oncoprint(
        RNG.integers(-1, 3, (5, 30)), genes=NAMES, kinds=["missense", HOSTILE[0]], ax=ax
    ),
    "roc": lambda ax: plot.roc(dict.fromkeys(NAMES, (GRID, GRID**0.5)), ax=ax),
    "precision_recall": lambda ax: plot.precision_recall(
        {NAMES[0]: (GRID, 1 - GRID / 2)}, prevalence=0.3, ax=ax
    ),
    "calibration": lambda ax: plot.calibration(
        {NAMES[0]: (GRID, GRID)},
        groups={NAMES[0]: (GRID[1:3], GRID[1:3], GRID[:2], GRID[2:4])},
        predicted=RNG.random(N),
        ax=ax,
    ),
    "risk_coverage": lambda ax: plot.risk_coverage(
        {"a": ([0.1, 0.5, 1.0], [0.0, 0.1, 0.2]), "b": ([0.0, 0.6], [float("nan"), 0.3])}, ax=ax
    ),
    "decision_curve": lambda ax: plot.decision_curve(
        GRID[1:-1], {NAMES[0]: 0.2 - 0.1 * GRID[1:-1]}, 0.2 - GRID[1:-1], ax=ax
    ),
    "kaplan_meier": lambda ax: plot.kaplan_meier(
        {NAMES[0]: _time(10), NAMES[2]: _time(30)}, note=HOSTILE[2], unit="days", ax=ax
    ),
    "flow": _flow,
    "feature_status": lambda ax: plot.feature_status(
        pl.DataFrame({"family": NAMES, "status": ["ok", "failed"] * 2 + ["ok"], "values": [3] * 5}),
        ax=ax,
    ),
    "site_distribution": _sites,
    "components": _components,
    "waterfall": lambda ax: plot.waterfall(
        RNG.normal(size=5), ["CR", "PR", HOSTILE[0], "PD", "PD"], ax=ax
    ),
    "link_circle": lambda ax: plot.link_circle(
        NAMES,
        NAMES[::-1],
        RNG.normal(size=5),
        left_groups=NAMES,
        right_groups=["7", HOSTILE[0], "X", HOSTILE[2], "7"],
        passed=[True, False, True, True, True],
        ax=ax,
    ),
    "link_graph": lambda ax: plot.link_graph(NAMES, NAMES[::-1], RNG.normal(size=5), ax=ax),
    "paired_forest": lambda ax: plot.paired_forest(
        NAMES,
        {NAMES[0]: np.tile([0.0, -1.0, 1.0], (5, 1)), HOSTILE[0]: np.tile([0, -1, 1.0], (5, 1))},
        ax=ax,
    ),
    "tree_heatmap": lambda ax: plot.tree_heatmap(
        [
            {"left": 1, "right": 2, "trait": HOSTILE[0], "threshold": 0.5, "mean": 0.0, "n": 5},
            {"left": -1, "right": -1, "trait": "", "threshold": np.nan, "mean": -1.0, "n": 5},
            {"left": -1, "right": -1, "trait": "", "threshold": np.nan, "mean": 1.0, "n": 5},
        ],
        np.arange(N) % 2 + 1,
        RNG.normal(size=(5, N)),
        row_names=NAMES,
        ax=ax,
    ),
    "scatter": lambda ax: plot.scatter(
        RNG.normal(size=N), RNG.normal(size=N), groups=NAMES * 12, xlabel=HOSTILE[2], ax=ax
    ),
    "violin": lambda ax: plot.violin({name: RNG.normal(size=9) for name in NAMES}, ax=ax),
    "mr_scatter": lambda ax: plot.mr_scatter(
        RNG.normal(size=5),
        RNG.normal(size=5),
        exposure_se=[0.1] * 5,
        outcome_se=[0.2] * 5,
        lines={HOSTILE[0]: (0.0, 0.5), HOSTILE[2]: (0.1, -0.5)},
        outlier=[True] + [False] * 4,
        names=NAMES,
        xlabel=HOSTILE[2],
        ax=ax,
    ),
    "mr_funnel": lambda ax: plot.mr_funnel(
        RNG.normal(size=5), [0.1, 0.2, 0.3, 0.4, 2], lines={HOSTILE[0]: 0.5}, ax=ax
    ),
    "coloc_region": lambda ax: plot.coloc_region(
        [1, 2, 3, 4, 5],
        [-1, -2, -9, np.nan, 0],
        [-2, -3, -4, -5, np.nan],
        names=(HOSTILE[0], HOSTILE[2]),
        credible=[False, True, True, False, False],
        best=2,
        best_name=HOSTILE[0],
        note=HOSTILE[2],
        ax=ax,
    ),
    "coloc_compare": lambda ax: plot.coloc_compare(
        [-1, -2, -9],
        [-2, -3, -4],
        names=(HOSTILE[0], HOSTILE[2]),
        share=[0, 0.1, 0.9],
        best=2,
        best_name=HOSTILE[0],
        ax=ax,
    ),
    "coloc_prior": lambda ax: plot.coloc_prior(
        [1e-7, 1e-6, 1e-5], np.full((3, 5), 0.2), chosen=1e-6, ax=ax
    ),
    "mediation_path": lambda ax: plot.mediation_path(
        (HOSTILE[0], HOSTILE[1], HOSTILE[2]),
        ("a", "b", HOSTILE[0]),
        clear=(True, False, True),
        notes=[HOSTILE[2]],
        ax=ax,
    ),
    "patient_course": lambda ax: plot.patient_course(COURSE, ax=ax),
    "percentile_strip": lambda ax: plot.percentile_strip(NAMES, [1, 50, 99, 20, 70], ax=ax),
    "sample_map": lambda ax: plot.sample_map(
        RNG.normal(size=(4, 2)),
        ["sample", "neighbour", "other", "other"],
        names=[HOSTILE[0], HOSTILE[1], "", ""],
        ax=ax,
    ),
    "swimmer": lambda ax: plot.swimmer(COURSE.with_columns(sample=pl.lit(HOSTILE[0])), ax=ax),
    "bland_altman": lambda ax: plot.bland_altman(RNG.normal(size=N), RNG.normal(size=N), ax=ax),
}


@pytest.mark.parametrize("name", sorted(DRAWN))
@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
def test_plot_returns_axes_and_writes_svg_with_hostile_names(name: str) -> None:
    ax = DRAWN[name](None)
    assert hasattr(ax, "get_xlim")
    buffer = io.StringIO()
    ax.figure.savefig(buffer, format="svg")
    assert "<script" not in buffer.getvalue()
    assert DRAWN[name](ax.figure.add_subplot()) in ax.figure.axes


def test_plots_of_arrays_are_all_tried() -> None:
    others = {
        "GENOME_WIDE",
        "cluster_order",
        "genome_positions",
        "inflation",
        "short_names",
        "trimmed",
    }
    others |= {"manhattan_stack", "name_points"}  # several Axes; texts on Axes that are there
    images = {"contact_sheet", "feature_map", "glcm_heatmap", "intensity_histogram", "montage"}
    assert set(plot.__all__) - others - images == set(DRAWN)


def test_drawing_touches_no_pyplot() -> None:
    code = (
        "import sys, numpy as np; from radgen import plot;"
        "assert 'matplotlib' not in sys.modules;"
        "plot.roc({'a': (np.array([0, 1]), np.array([0, 1]))});"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_inflation_is_one_for_the_median_of_the_null() -> None:
    p = (np.arange(1, 100_000) - 0.5) / 99_999
    assert plot.inflation(np.log10(p)) == pytest.approx(1.0, abs=1e-4)
    doubled = plot.inflation(np.log10([0.25] * 5), counts=[1, 2, 3, 4, 5])
    assert doubled == pytest.approx(1.3233 / 0.454936, rel=1e-4)  # chi-square of p = 0.25


def test_binned_qq_draws_what_single_tests_draw() -> None:
    values = np.log10(np.repeat([0.5, 0.1, 0.01], [5, 3, 1]))
    single = plot.qq(values).collections[-1].get_offsets()
    binned = plot.qq(np.log10([0.5, 0.1, 0.01]), counts=[5, 3, 1]).collections[-1].get_offsets()
    assert sorted(set(np.round(single[:, 1], 9))) == sorted(np.round(binned[:, 1], 9))
    assert binned[:, 0].max() == pytest.approx(-np.log10(0.5 / 9))


def test_dense_manhattan_stays_small_and_keeps_the_peak() -> None:
    n = 300_000
    log10p = np.log10(RNG.random(n))
    log10p[1234] = -20.0
    ax = plot.manhattan(np.repeat(["1", "2"], n // 2), np.arange(n), log10p)
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])
    assert len(drawn) < 250_000
    assert drawn[:, 1].max() == pytest.approx(20.0)
    buffer = io.StringIO()
    ax.figure.savefig(buffer, format="svg")
    assert len(buffer.getvalue()) < 3_000_000


def test_chromosomes_stand_in_genome_order() -> None:
    ax = plot.manhattan(["chrX", "10", "2", "22"], [5, 5, 5, 5], [-1.0, -2.0, -3.0, -4.0])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "10", "22", "X"]


def test_cluster_order_puts_like_rows_together() -> None:
    rows = np.array([[0.0, 0], [9, 9], [0.1, 0], [9, 9.1]])
    order, tree = plot.cluster_order(rows)
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}
    assert tree.shape == (3, 4)
    assert plot.cluster_order(rows[:1])[0].tolist() == [0]


def test_numbers_at_risk_are_those_just_before_each_time() -> None:
    curve = {"time": [5.0, 10.0, 20.0], "survival": [0.9, 0.8, 0.5], "at_risk": [30, 20, 10]}
    ax = plot.kaplan_meier({"all": curve})
    table = ax.child_axes[0]
    texts = {t.get_position()[0]: t.get_text() for t in table.texts}
    assert texts[0.0] == "30"
    assert texts[5.0] == "30"
    assert texts[7.5] == "20"
    assert texts[20.0] == "10"


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.volcano([1.0], [1.0, 2.0]),
        lambda: plot.forest(["a"], [1.0, 2.0], [1.0], [2.0]),
        lambda: plot.manhattan(["1"], [1, 2], [-1.0, -2.0]),
        lambda: plot.qq([np.nan]),
        lambda: plot.heatmap(np.zeros((2, 2)), row_names=["a"], column_names=["b", "c"]),
        lambda: plot.oncoprint(np.full((1, 2), 5), genes=["a"]),
        lambda: plot.kaplan_meier({"a": {"time": [1.0]}}),
        lambda: plot.flow(pl.DataFrame({"step": ["a"]})),
        lambda: plot.scatter([1.0], [1.0, 2.0]),
        lambda: plot.violin({}),
        lambda: plot.bland_altman([1.0], [1.0]),
    ],
)
def test_bad_arrays_are_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        call()
