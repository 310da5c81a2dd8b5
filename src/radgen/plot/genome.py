"""Pictures of genome-wide evidence: Manhattan, Miami, QQ and regional plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style

__all__ = [
    "GENOME_WIDE",
    "genome_positions",
    "inflation",
    "manhattan",
    "miami",
    "qq",
    "regional",
]

GENOME_WIDE = 5e-8
"""The usual p of genome-wide significance."""

_VECTOR_POINTS = 4_000
_BINS_X, _BINS_Y = 1_600, 400
_MIRRORED = ((style.PALETTE[0], style.PALETTE[6]), (style.PALETTE[1], style.PALETTE[5]))
_WEAK, _GREY, _GREY_FROM = 3.0, "#c3ccd5", 20_000
_SPARSE = 2_000
_MEDIAN_CHI2 = 0.454936423119572
_LETTER = 0.008
"""Width of a letter of a gene's name, as a share of the axis."""


def manhattan(
    chrom: Sequence[str] | NDArray[Any],
    pos: ArrayLike,
    log10p: ArrayLike,
    *,
    trait: Sequence[str] | NDArray[Any] | None = None,
    labels: Sequence[tuple[int, str]] = (),
    threshold: float | None = GENOME_WIDE,
    ax: Any = None,
) -> Any:
    """Draw -log10 p along the genome and return the Axes.

    Parameters
    ----------
    chrom : sequence of str (n_tests,)
        Chromosome of each variant; "1" to "22", "X", "Y", "MT", with or without "chr".
    pos : array of int (n_tests,)
        Position in base pairs, 1-based.
    log10p : array of float64 (n_tests,)
        log10 of p, at most 0; NaN = not tested.
    trait : sequence of str (n_tests,) or None
        Trait of each test: traits are drawn over each other on one axis, a colour a trait (a
        Brisbane plot); None = one trait, chromosomes in two colours.
    labels : sequence of (int, str)
        Tests to name, by row.
    threshold : float or None, default 5e-8
        p of the drawn line; None = no line.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ.

    Notes
    -----
    Where a layer has more than 4,000 points, the weak ones are binned in two dimensions and
    drawn as one image, so 10⁷ tests stay fast and small; the strongest stay points. Up to 2,000
    variants stand side by side in their order, not by base pairs.
    """
    names, ends, at = _genome_axis(chrom, pos)
    height = -np.asarray(log10p, float)
    if len(height) != len(at) or (trait is not None and len(trait) != len(at)):
        raise InputError("chrom, pos, log10p and trait of a Manhattan plot have one length.")
    ax = ax or style.axes(9.2, 3.6)
    known = np.isfinite(height)
    if trait is None:
        parity = np.searchsorted(ends, at, side="right") % 2
        for odd, ink in ((0, style.PALETTE[0]), (1, style.PALETTE[6])):
            use = (parity == odd) & known
            _points(ax, at[use], height[use], ink, threshold)
    else:
        _trait_layers(ax, at, height, trait, threshold)
    _finish_genome(ax, names, ends, threshold)
    for row, text in labels:
        _name(ax, float(at[row]), float(height[row]), text)
    return ax


def miami(
    chrom: Sequence[str] | NDArray[Any],
    pos: ArrayLike,
    upper_log10p: ArrayLike,
    lower_log10p: ArrayLike,
    *,
    names: tuple[str, str] = ("", ""),
    threshold: float | None = GENOME_WIDE,
    ax: Any = None,
) -> Any:
    """Draw two scans mirrored along the genome and return the Axes.

    Parameters
    ----------
    chrom : sequence of str (n_variants,)
        Chromosomes.
    pos : array of int (n_variants,)
        Positions in base pairs.
    upper_log10p, lower_log10p : array of float64 (n_variants,)
        log10 of p of the two scans; NaN = not tested.
    names : tuple of str
        What the upper and lower scan are.
    threshold : float or None, default 5e-8
        p of the drawn lines.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    chroms, ends, at = _genome_axis(chrom, pos)
    ax = ax or style.axes(9.2, 4.8)
    parity = np.searchsorted(ends, at, side="right") % 2
    for index, values in enumerate((upper_log10p, lower_log10p)):
        layer = np.asarray(values, float)
        if len(layer) != len(at):
            raise InputError("chrom, pos and both log10p of a Miami plot have the same length.")
        sign = 1 if index == 0 else -1
        for odd in (0, 1):
            use = (parity == odd) & np.isfinite(layer)
            _points(
                ax,
                at[use],
                -sign * layer[use],
                _MIRRORED[index][odd],
                threshold,
                sign=sign,
            )
    _finish_genome(ax, chroms, ends, threshold, mirrored=True)
    low, high = ax.get_ylim()
    for text, y, va in ((names[0], high, "top"), (names[1], low, "bottom")):
        ax.text(0.005 * ends[-1], y, style.safe(text), va=va, fontsize=9, color=style.INK,
                fontweight="bold", parse_math=False)  # fmt: skip
    return ax


def qq(
    log10p: ArrayLike,
    *,
    counts: ArrayLike | None = None,
    n_tests: int | None = None,
    lambda_gc: float | None = None,
    name: str = "",
    band: float = 0.95,
    colour: str = style.PALETTE[0],
    note: bool = True,
    back: bool = True,
    ax: Any = None,
) -> Any:
    """Draw observed against expected -log10 p with a band under the null; return the Axes.

    Parameters
    ----------
    log10p : array of float64 (n_tests,) or (n_bins,)
        log10 of p; NaN is left out.
    counts : array of int (n_bins,) or None
        Number of tests behind each entry, where tests were binned.
    n_tests : int or None
        Number of all tests, where only those with the smallest p are given.
    lambda_gc : float or None
        Inflation factor to print; None = computed by `inflation`, where all tests are given.
    name : str
        Title.
    band : float, default 0.95
        Pointwise coverage of the band: quantiles of the order statistics, Beta(k, n + 1 - k).
    colour : str
        Colour of the points.
    note : bool, default True
        Print inflation and number of tests.
    back : bool, default True
        Draw the band and the diagonal; False for further traits on the same Axes.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If there is no p-value.
    """
    values = np.asarray(log10p, float)
    if counts is None:
        observed = -np.sort(values[np.isfinite(values)])
        weight = None
        n = float(len(observed))
        kept = _thin(len(observed))
        rank = kept + 0.5
    else:
        size = np.asarray(counts, float)
        use = np.isfinite(values) & (size > 0)
        order = np.argsort(values[use], kind="stable")
        observed, weight = -values[use][order], size[use][order]
        n = float(weight.sum())
        kept = _thin(len(observed))
        rank = (np.cumsum(weight) - 0.5 * weight)[kept]
    if not len(observed):
        raise InputError("A QQ plot needs at least one p-value.")
    whole = n_tests is None or n_tests <= n
    n = n if n_tests is None else max(n, float(n_tests))
    expected = -np.log10(rank / n)
    ax = ax or style.axes(4.6, 3.8)
    if back:
        _band(ax, n, band)
    ax.scatter(expected, observed[kept], s=9, color=colour, linewidths=0)
    style.dress(ax, xlabel="Expected −log₁₀ p", ylabel="Observed −log₁₀ p", title=name)
    if note:
        factor = inflation(-observed, weight) if lambda_gc is None and whole else lambda_gc
        words = [] if factor is None else [f"λ = {factor:.3f}"]
        ax.text(0.04, 0.95, "\n".join([*words, f"{n:,.0f} tests"]), transform=ax.transAxes,
                va="top", fontsize=8.5, color=style.INK)  # fmt: skip
    # A further trait may reach higher, or wider, than those before it.
    reach = (float(expected.max()), float(np.max(observed)))
    right, top = (0.0, 0.0) if back else (ax.get_xlim()[1], ax.get_ylim()[1])
    ax.set_xlim(0, max(right, 1.05 * reach[0], 0.1))
    ax.set_ylim(0, max(top, 1.05 * reach[1], 1.05 * reach[0], 0.1))
    return ax


def _band(ax: Any, n: float, band: float) -> None:
    """Draw the pointwise band of the order statistics under the null, and the diagonal."""
    from scipy.special import betaincinv

    ranks = np.unique(np.round(np.geomspace(1, max(n, 1), 120)))
    place = -np.log10((ranks - 0.5) / n)
    tail = (1 - band) / 2
    low = -np.log10(betaincinv(ranks, n + 1 - ranks, 1 - tail))
    high = -np.log10(np.maximum(betaincinv(ranks, n + 1 - ranks, tail), 1e-300))
    ax.fill_between(place, low, high, color=style.MUTED, alpha=0.18, linewidth=0)
    top = float(place.max())
    ax.plot([0, top], [0, top], color=style.MUTED, linewidth=0.9)


def inflation(log10p: ArrayLike, counts: ArrayLike | None = None) -> float:
    """Return the genomic inflation factor: median chi-square (1 df) over 0.4549.

    Parameters
    ----------
    log10p : array of float64 (n,)
        log10 of p.
    counts : array of float64 (n,) or None
        Number of tests behind each entry.

    Returns
    -------
    float
        1 under the null.

    Notes
    -----
    The median of p is mapped to chi-square once: the map is monotone.

    References
    ----------
    Devlin B, Roeder K. Biometrics 1999;55:997, doi:10.1111/j.0006-341X.1999.00997.x.
    """
    from scipy.special import ndtri

    values = np.asarray(log10p, float)
    weight = np.ones(len(values)) if counts is None else np.asarray(counts, float)
    if counts is None:
        known = values[np.isfinite(values)]
        p = 10.0 ** float(np.median(known)) if len(known) else np.nan
        return float(np.square(ndtri(p / 2)) / _MEDIAN_CHI2)
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    half = total[-1] / 2
    lower = values[order][np.searchsorted(total, half, side="left")]
    upper = values[order][min(np.searchsorted(total, half, side="right"), len(order) - 1)]
    p = (10.0**lower + 10.0**upper) / 2
    return float(np.square(ndtri(p / 2)) / _MEDIAN_CHI2)


def regional(
    pos: ArrayLike,
    log10p: ArrayLike,
    *,
    r2: ArrayLike | None = None,
    lead: int | None = None,
    lead_name: str = "",
    genes: Sequence[tuple[str, float, float]] = (),
    chrom: str = "",
    threshold: float | None = GENOME_WIDE,
    ax: Any = None,
) -> Any:
    """Draw the evidence around one locus, coloured by LD with the lead; return the Axes.

    Parameters
    ----------
    pos : array of int (n_variants,)
        Positions in base pairs.
    log10p : array of float64 (n_variants,)
        log10 of p; NaN = not tested.
    r2 : array of float64 (n_variants,) or None
        Squared correlation with the lead variant, in [0, 1]; NaN = unknown.
    lead : int or None
        Row of the lead variant; None = the smallest p.
    lead_name : str
        Its id.
    genes : sequence of (str, float, float)
        Name, start and end in base pairs.
    chrom : str
        Chromosome, for the axis label.
    threshold : float or None, default 5e-8
        p of the drawn line.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If no variant has a p-value.
    """
    place = np.asarray(pos, float) / 1e6
    height = -np.asarray(log10p, float)
    if not np.isfinite(height).any():
        raise InputError("A regional plot needs at least one p-value.")
    first = int(np.nanargmax(height)) if lead is None else lead
    ax = ax or style.axes(9.2, 4.0)
    linkage = np.full(len(place), np.nan) if r2 is None else np.asarray(r2, float)
    grey = ~np.isfinite(linkage)
    ax.scatter(place[grey], height[grey], s=16, color=style.PALETTE[7], linewidths=0,
               rasterized=bool(grey.sum() > _VECTOR_POINTS))  # fmt: skip
    if (~grey).any():
        order = np.flatnonzero(~grey)[np.argsort(linkage[~grey])]
        colours, steps = style.linkage_colours()
        dots = ax.scatter(place[order], height[order], c=linkage[order], s=22, cmap=colours,
                          norm=steps, linewidths=0.3, edgecolors=style.PAPER,
                          rasterized=bool(len(order) > _VECTOR_POINTS))  # fmt: skip
        bar = ax.figure.colorbar(dots, ax=ax, shrink=0.6, pad=0.01)
        _bar(bar, "r² with the lead")
    ax.scatter(place[first], height[first], marker="D", s=46, color=style.ACCENT,
               edgecolors=style.PAPER, linewidths=0.8, zorder=5)  # fmt: skip
    _name(ax, float(place[first]), float(height[first]), lead_name)
    if threshold:
        ax.axhline(-np.log10(threshold), color=style.ACCENT, linewidth=0.8, linestyle="--")
    top = float(np.nanmax(height)) * 1.12 + 0.2
    _genes(ax, genes, top)
    style.dress(ax, xlabel=f"Position on chromosome {chrom} (Mb)".replace("  ", " "),
                ylabel="−log₁₀ p")  # fmt: skip
    ax.set_ylim(top=top)
    # Genes stand below zero, where no p-value can.
    bottom = ax.get_ylim()[0]
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    ax.set_ylim(bottom, top)
    ax.ticklabel_format(axis="x", style="plain", useOffset=False)
    return ax


def genome_positions(chrom: Sequence[str] | NDArray[Any], pos: ArrayLike) -> NDArray[np.float64]:
    """Return where variants stand on the axis of `manhattan` and `miami`, for texts and marks.

    Parameters
    ----------
    chrom : sequence of str (n_variants,)
        Chromosomes of all variants that are drawn.
    pos : array of int (n_variants,)
        Their positions in base pairs.

    Returns
    -------
    ndarray of float64 (n_variants,)
    """
    return _genome_axis(chrom, pos)[2]


def _genome_axis(
    chrom: Sequence[str] | NDArray[Any], pos: ArrayLike
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    place = np.asarray(pos, float)
    names, codes = _coded(chrom)
    if len(codes) != len(place) or not len(place):
        raise InputError("chrom and pos name the same variants, at least one.")
    order = sorted(range(len(names)), key=lambda code: _chrom_key(names[code]))
    rows_of = [codes == code for code in range(len(names))]
    if len(place) <= _SPARSE * 50:
        # A few hundred variants of chosen genes would stand on a few lines: they are put side
        # by side in their order instead.
        distinct = [np.unique(place[rows]) for rows in rows_of]
        if sum(map(len, distinct)) <= _SPARSE:
            for rows, known in zip(rows_of, distinct, strict=True):
                place = np.where(rows, np.searchsorted(known, place), place)
    at = np.empty(len(place))
    ends = np.empty(len(names))
    start = 0.0
    span = sum(np.ptp(place[rows_of[code]]) for code in order) or 1.0
    gap = 0.006 * span
    for number, code in enumerate(order):
        rows = rows_of[code]
        low = place[rows].min()
        at[rows] = place[rows] - low + start
        ends[number] = start + max(float(np.ptp(place[rows])), 1.0) + gap
        start = ends[number]
    return [names[code].removeprefix("chr") for code in order], ends, at


def _coded(
    labels: Sequence[str] | NDArray[Any],
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct labels and the place of each label among them."""
    series = labels if isinstance(labels, pl.Series) else pl.Series("label", labels)
    runs = series.cast(pl.String).rle().struct.unnest()
    if runs.height > max(len(series) // 4, 10_000):
        names = runs["value"].unique().sort()
        coded = runs["value"].cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
    else:
        names = runs["value"].unique().sort()
        place = {name: at for at, name in enumerate(names)}
        coded = np.array([place[name] for name in runs["value"]], np.int64)
    return names.to_list(), np.repeat(coded, runs["len"].to_numpy())


def _chrom_key(name: str) -> tuple[int, int, str]:
    plain = name.removeprefix("chr")
    special = {"X": 23, "Y": 24, "XY": 25, "MT": 26, "M": 26}
    if plain.isdigit():
        return (0, int(plain), "")
    return (0, special[plain], "") if plain in special else (1, 0, plain)


def _points(
    ax: Any,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    colour: str,
    threshold: float | None,
    *,
    sign: int = 1,
) -> None:
    cut = 4.0 if threshold is None else min(4.0, -np.log10(threshold) / 1.5)
    strong = sign * y > cut if len(x) > _VECTOR_POINTS else np.ones(len(x), bool)
    if strong.sum() > _VECTOR_POINTS:
        limit = np.partition(sign * y, -_VECTOR_POINTS)[-_VECTOR_POINTS]
        strong = sign * y >= limit
    many = ~strong
    if many.any():
        ax.scatter(*_cells(x[many], y[many]), s=3, color=colour, linewidths=0, rasterized=True)
    ax.scatter(x[strong], y[strong], s=7, color=colour, linewidths=0,
               rasterized=bool(strong.sum() > 1_500))  # fmt: skip


def _cells(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles of the cells of a fine grid that hold points."""
    low_x, low_y = float(x.min()), float(y.min())
    step_x = max(float(x.max()) - low_x, 1e-9) / _BINS_X
    step_y = max(float(y.max()) - low_y, 1e-9) / _BINS_Y
    column = np.minimum(((x - low_x) / step_x).astype(np.int32), _BINS_X - 1)
    row = np.minimum(((y - low_y) / step_y).astype(np.int32), _BINS_Y - 1)
    used = np.flatnonzero(np.bincount(column * _BINS_Y + row, minlength=_BINS_X * _BINS_Y))
    return low_x + (used // _BINS_Y + 0.5) * step_x, low_y + (used % _BINS_Y + 0.5) * step_y


def _finish_genome(
    ax: Any,
    names: list[str],
    ends: NDArray[np.float64],
    threshold: float | None,
    *,
    mirrored: bool = False,
) -> None:
    starts = np.concatenate([[0.0], ends[:-1]])
    centres = (starts + ends) / 2
    shown = [
        name if (end - start) > 0.018 * ends[-1] else ""
        for name, start, end in zip(names, starts, ends, strict=True)
    ]
    ax.set_xticks(centres, [style.safe(name) for name in shown], parse_math=False)
    style.dress(ax, xlabel="Chromosome", ylabel="−log₁₀ p", grid="y")
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.01 * ends[-1], 1.01 * ends[-1])
    low, high = ax.get_ylim()
    if threshold:
        line = -np.log10(threshold)
        for at in (line, -line) if mirrored else (line,):
            ax.axhline(at, color=style.ACCENT, linewidth=0.9, linestyle="--")
        high = max(high, line * 1.08)
        low = min(low, -line * 1.08) if mirrored else 0.0
    ax.set_ylim(low if mirrored else 0.0, high * 1.03)
    if mirrored:
        ax.axhline(0, color=style.INK, linewidth=0.8)
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def _trait_layers(
    ax: Any,
    at: NDArray[np.float64],
    height: NDArray[np.float64],
    trait: Sequence[str] | NDArray[Any],
    threshold: float | None,
) -> None:
    from matplotlib.lines import Line2D

    levels, codes = _coded(trait)
    # Colours go by appearance, as in the other pictures of the same traits.
    first = np.full(len(levels), len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    order = np.argsort(first, kind="stable")
    levels = [levels[at] for at in order]
    codes = np.argsort(order)[codes]
    known = np.isfinite(height)
    best = np.zeros(len(levels))
    np.maximum.at(best, codes[known], height[known])
    # Weak points of all traits are one grey layer: the last trait would hide the others.
    weak = known & (height < _WEAK) & (len(height) > _GREY_FROM)
    _points(ax, at[weak], height[weak], _GREY, threshold)
    for index in range(len(levels)):
        use = (codes == index) & known & ~weak
        _points(ax, at[use], height[use], style.colour(index), threshold)
    named = np.argsort(-best, kind="stable")[:8]
    marks = [
        Line2D([], [], marker="o", markersize=4, linestyle="", color=style.colour(i)) for i in named
    ]
    style.legend(ax, marks, [levels[i] for i in named], loc="lower right",
                 bbox_to_anchor=(1, 1), ncols=min(4, len(marks)))  # fmt: skip


def _name(ax: Any, x: float, y: float, text: str) -> None:
    if text:
        ax.annotate(style.safe(text, 40), (x, y), xytext=(4, 4), textcoords="offset points",
                    fontsize=8, color=style.INK, parse_math=False)  # fmt: skip


def _genes(ax: Any, genes: Sequence[tuple[str, float, float]], top: float) -> None:
    if not genes:
        return
    ends: list[float] = []
    step = 0.07 * top
    low, high = ax.get_xlim()
    for name, start, end in sorted(genes, key=lambda gene: gene[1]):
        left, right = start / 1e6, end / 1e6
        # A name may be wider than its gene: both must fit between their neighbours.
        middle, half = (left + right) / 2, 0.5 * _LETTER * (high - low) * len(name)
        row = next((i for i, taken in enumerate(ends) if taken < min(left, middle - half)), -1)
        if row < 0:
            row = len(ends)
            ends.append(right)
        ends[row] = max(right, middle + half)
        y = -(row + 1) * step
        ax.plot([left, right], [y, y], color=style.INK, linewidth=2.4, solid_capstyle="butt")
        ax.text((left + right) / 2, y + 0.15 * step, style.safe(name, 24), ha="center",
                va="bottom", fontsize=7, fontstyle="italic", color=style.INK,
                parse_math=False, clip_on=True)  # fmt: skip
    ax.axhline(0, color=style.GRID, linewidth=0.8)


def _bar(bar: Any, label: str) -> None:
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, colors=style.MUTED, labelcolor=style.INK, length=2)
    bar.set_label(style.safe(label), fontsize=8, color=style.INK)


def _thin(count: int) -> NDArray[np.int64]:
    """Return which of ranked points to draw: the first thousand, then ever fewer."""
    if count <= 3_000:
        return np.arange(count)
    later = np.geomspace(1_000, count - 1, 2_000).astype(np.int64)
    return np.unique(np.concatenate([np.arange(1_000), later]))
