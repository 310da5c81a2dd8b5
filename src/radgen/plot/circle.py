"""Links between two kinds of things as ribbons across a ring (a circos-style picture)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["link_circle"]

Array = NDArray[np.float64]

_INNER, _OUTER, _TEXT = 1.0, 1.09, 1.12
_GREYS = ("#5b6b7b", "#aab6c3")
_LONGEST = 30
_WIDEST = 9.0  # degrees
_SEGMENTS = (2, 3, 4, 5, 7)  # colours apart from those of the signs


@dataclass(frozen=True)
class _Node:
    side: int
    group: str
    name: str


def link_circle(
    left: Sequence[str],
    right: Sequence[str],
    strength: ArrayLike,
    *,
    left_groups: Sequence[str] | None = None,
    right_groups: Sequence[str] | None = None,
    positions: ArrayLike | None = None,
    passed: ArrayLike | None = None,
    titles: tuple[str, str] = ("image phenotypes", "molecular features"),
    label: str = "signed −log₁₀ p",
    ax: Any = None,
) -> Any:
    """Draw links as ribbons across a ring of groups and return the Axes.

    Parameters
    ----------
    left, right : sequence of str (n_links,)
        Ends of each link; one name in two groups is two things.
    strength : array of float64 (n_links,)
        Width of the ribbon, the same measure everywhere; its sign is the colour.
    left_groups, right_groups : sequence of str (n_links,) or None
        Segment of each end: family of features, chromosome, layer.
    positions : array of float64 (n_links,) or None
        Order of the right ends within their segment (NaN = after those that have one);
        None = where few ribbons cross.
    passed : array of bool (n_links,) or None
        False = drawn as an outline only.
    titles : tuple of str
        Headings of the halves.
    label : str
        What the strength is.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Left ends stand on the left half of the ring, right ends on the right half; chromosomes
        in their order, other segments where few ribbons cross.

    Raises
    ------
    InputError
        If there is no link, the lengths differ, or a strength is not finite.
    """
    weight = np.asarray(strength, float)
    n = len(weight)
    groups = [
        ["" for _ in weight] if given is None else [str(item) for item in given]
        for given in (left_groups, right_groups)
    ]
    places = np.full(n, np.nan) if positions is None else np.asarray(positions, float)
    solid = np.ones(n, bool) if passed is None else np.asarray(passed, bool)
    lengths = {len(left), len(right), n, *map(len, groups), len(places), len(solid)}
    if not n or len(lengths) > 1:
        raise InputError("A circle of links needs links, and both ends and a strength of each.")
    if not np.isfinite(weight).all():
        row = int(np.flatnonzero(~np.isfinite(weight))[0])
        raise InputError(
            f"The strength of the link {left[row]} - {right[row]} is not finite; "
            "leave it out, or limit it."
        )
    names = (left, right)
    ends = [
        [_Node(side, groups[side][k], str(names[side][k])) for k in range(n)] for side in (0, 1)
    ]
    order = _order(ends, np.abs(weight), dict(zip(ends[1], places.tolist(), strict=True)))
    slots = _slots(order, ends, np.abs(weight))
    ax = ax if ax is not None else style.axes(9.2, 8.8)
    _ribbons(ax, ends, weight, slots, solid)
    most = max(map(len, order))
    size = 8.0 if most <= 24 else 7.0 if most <= 34 else 6.0
    reach, radius = _reach(ax, slots, size)
    keys = _ring(ax, order, slots, radius)
    _names(ax, slots, size)
    _dress(ax, reach, keys, titles=titles, label=label, outlines=not solid.all())
    return ax


def _order(
    ends: list[list[_Node]], size: Array, place: dict[_Node, float]
) -> tuple[list[_Node], list[_Node]]:
    """Return the things of both sides from top to bottom."""
    sides = [list(dict.fromkeys(part)) for part in ends]
    height = {node: 0.5 for part in sides for node in part}
    for turn in range(24):
        side = (turn + 1) % 2
        pull = dict.fromkeys(sides[side], 0.0)
        total = dict.fromkeys(sides[side], 1e-12)
        for own, other, w in zip(ends[side], ends[1 - side], size, strict=True):
            pull[own] += w * height[other]
            total[own] += w
        mean = {node: pull[node] / total[node] for node in sides[side]}
        by_group: dict[str, list[float]] = {}
        for node in sides[side]:
            by_group.setdefault(node.group, []).append(mean[node])

        def key(
            node: _Node,
            side: int = side,
            mean: dict[_Node, float] = mean,
            by_group: dict[str, list[float]] = by_group,
        ) -> tuple[Any, ...]:
            where = place.get(node, np.nan) if side else np.nan
            centre = float(np.mean(by_group[node.group]))
            known = (0, where) if np.isfinite(where) else (1, mean[node])
            return (*(_rank(node.group) if side else (0, 0)), centre, node.group, *known)

        sides[side].sort(key=key)
        step = 1.0 / max(len(sides[side]) - 1, 1)
        height.update({node: k * step for k, node in enumerate(sides[side])})
    return sides[0], sides[1]


def _rank(group: str) -> tuple[int, int]:
    """Return the order of a chromosome; others follow where few ribbons cross."""
    bare = group.removeprefix("chr")
    if bare.isdecimal():
        return 0, int(bare)
    named = ("X", "Y", "XY", "MT", "M")
    return (0, 1000 + named.index(bare)) if bare in named else (1, 0)


def _slots(
    order: tuple[list[_Node], list[_Node]], ends: list[list[_Node]], size: Array
) -> dict[_Node, tuple[float, float]]:
    """Return the first and last angle (degrees) of each thing, counter-clockwise.

    Half of an arc is shared evenly, so that each name has room, and half by strength.
    """
    counts = [len(part) for part in order]
    share = min(max(counts[0] / sum(counts), 0.32), 0.68)
    slots = {}
    for side, width in ((0, 360 * share), (1, 360 * (1 - share))):
        total = dict.fromkeys(order[side], 0.0)
        for node, w in zip(ends[side], size, strict=True):
            total[node] += float(w)
        whole = sum(total.values()) or 1.0
        nodes = order[side]
        breaks = sum(a.group != b.group for a, b in pairwise(nodes))
        gap = min(2.0, 0.25 * width / max(breaks, 1))
        free = width - 10.0 - gap * breaks
        at, last = 5.0, nodes[0].group
        for node in nodes:
            at += gap * (node.group != last)
            wide = free * (0.5 / len(nodes) + 0.5 * total[node] / whole)
            if side == 0:  # counter-clockwise from the top
                first = 180.0 - width / 2 + at
                slots[node] = (first, first + wide)
            else:  # clockwise from the top
                first = width / 2 - at
                slots[node] = (first - wide, first)
            at, last = at + wide, node.group
    return slots


def _ribbons(
    ax: Any,
    ends: list[list[_Node]],
    weight: Array,
    slots: dict[_Node, tuple[float, float]],
    solid: NDArray[np.bool_],
) -> None:
    from matplotlib.patches import PathPatch

    size = np.abs(weight)
    largest = float(size.max()) or 1.0
    spans = _spans(ends, size, slots)
    for k in np.argsort(size, kind="stable"):
        share = float(size[k]) / largest
        ink = style.PALETTE[1] if weight[k] > 0 else style.PALETTE[0]
        ax.add_patch(
            PathPatch(
                _ribbon(spans[0][k], spans[1][k]),
                facecolor=ink if solid[k] else "none", edgecolor=ink,
                linewidth=0.4 if solid[k] else 0.8, alpha=0.3 + 0.5 * share,
                gid=f"link{k}",
            )
        )  # fmt: skip


def _spans(
    ends: list[list[_Node]], size: Array, slots: dict[_Node, tuple[float, float]]
) -> list[list[tuple[float, float]]]:
    """Return the arc of each link at both of its ends, one measure of degrees a strength."""
    middle = {node: (a + b) / 2 for node, (a, b) in slots.items()}
    links: dict[_Node, list[int]] = {}
    for part in ends:
        for k, node in enumerate(part):
            links.setdefault(node, []).append(k)
    totals = {node: float(size[own].sum()) for node, own in links.items()}
    fits = [0.9 * (b - a) / totals[n] for n, (a, b) in slots.items() if totals[n] > 0]
    scale = min([*fits, _WIDEST / float(size.max() or 1.0)])
    spans: list[list[tuple[float, float]]] = [[(0.0, 0.0)] * len(size) for _ in ends]
    for node, own in links.items():
        other = ends[1 - node.side]
        own.sort(key=lambda k: -((middle[other[k]] - middle[node]) % 360))
        at = middle[node] - scale * totals[node] / 2
        for k in own:
            spans[node.side][k] = (at, at + scale * float(size[k]))
            at += scale * float(size[k])
    return spans


def _ribbon(a: tuple[float, float], b: tuple[float, float]) -> Any:
    from matplotlib.path import Path

    first, second = _arc(*a, _INNER), _arc(*b, _INNER)
    points = [*first, (0.0, 0.0), *second, (0.0, 0.0), first[0]]
    # arc, a quadratic curve through the centre to the second arc, that arc, and a curve back
    codes = [Path.MOVETO, *[Path.LINETO] * (len(first) - 1), Path.CURVE3, Path.CURVE3]
    codes += [Path.LINETO] * (len(second) - 1) + [Path.CURVE3, Path.CURVE3]
    return Path(points, codes)


def _arc(start: float, stop: float, radius: float) -> list[tuple[float, float]]:
    angle = np.deg2rad(np.linspace(start, stop, max(2, int(abs(stop - start)) + 2)))
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _ring(
    ax: Any,
    order: tuple[list[_Node], list[_Node]],
    slots: dict[_Node, tuple[float, float]],
    radius: float,
) -> list[tuple[str, str]]:
    """Draw the segments, and return colour and name of those that a legend must name."""
    from matplotlib.patches import Polygon

    keys = []
    hue = 0
    for side, nodes in enumerate(order):
        groups = list(dict.fromkeys(node.group for node in nodes))
        for k, group in enumerate(groups):
            own = [slots[node] for node in nodes if node.group == group]
            first, last = min(a for a, _ in own), max(b for _, b in own)
            fits = _fits(group, last - first, radius)
            named = bool(group) and (side == 0 or not fits)
            ink = style.colour(_SEGMENTS[hue % len(_SEGMENTS)]) if named else _GREYS[k % 2]
            hue += named
            shape = [*_arc(first, last, _INNER + 0.01), *_arc(last, first, _OUTER)]
            ax.add_patch(Polygon(shape, facecolor=ink, edgecolor="none", gid=f"segment{side}.{k}"))
            if named:
                keys.append((ink, group))
            if group and fits:
                pale = ink == _GREYS[1]
                _band_text(ax, group, (first + last) / 2, fits, style.INK if pale else style.PAPER)
    return keys


def _fits(group: str, width: float, radius: float) -> str:
    """Return how the name of a segment fits: "across" (short), "along", or "" (not)."""
    if len(group) <= 2:
        return "across"
    return "along" if 4.6 * len(group) + 4 <= np.deg2rad(width) * radius else ""


def _band_text(ax: Any, text: str, angle: float, way: str, ink: str) -> None:
    radius = (_INNER + 0.01 + _OUTER) / 2
    x, y = radius * np.cos(np.deg2rad(angle)), radius * np.sin(np.deg2rad(angle))
    turn = (angle if way == "across" else angle + 90) % 360
    turn = turn - 180 if 90 < turn <= 270 else turn
    ax.text(x, y, style.safe(text, 40), rotation=turn, ha="center", va="center",
            fontsize=7, fontweight="bold", color=ink, parse_math=False)  # fmt: skip


def _names(ax: Any, slots: dict[_Node, tuple[float, float]], size: float) -> None:
    for node, (first, last) in slots.items():
        angle = (first + last) / 2 % 360
        turn = np.deg2rad(angle)
        flip = 90 < angle < 270
        ax.text(
            _TEXT * np.cos(turn), _TEXT * np.sin(turn), style.safe(node.name, _LONGEST),
            color=style.INK, fontsize=size, rotation=angle - 180 if flip else angle,
            rotation_mode="anchor", ha="right" if flip else "left", va="center_baseline",
            parse_math=False,
        )  # fmt: skip


def _dress(
    ax: Any,
    reach: Array,
    groups: list[tuple[str, str]],
    *,
    titles: tuple[str, str],
    label: str,
    outlines: bool,
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    top = reach[3] + 0.1
    for side, align in ((0, "left"), (1, "right")):
        x = (-1, 1)[side] * reach[side]
        ax.text(x, top, style.safe(titles[side], 40), ha=align, va="center", fontsize=9,
                fontweight="bold", color=style.INK, parse_math=False)  # fmt: skip
    ax.set_xlim(-reach[0], reach[1])
    ax.set_ylim(-reach[2], top + 0.06)
    ax.set_aspect("equal")
    ax.axis("off")
    keys: list[Any] = [Line2D([], [], color=style.PALETTE[k], linewidth=4) for k in (1, 0)]
    texts = [f"{label}: positive", "negative"]
    if outlines:
        keys.append(Patch(facecolor="none", edgecolor=style.MUTED))
        texts.append("outline: adjusted level not passed")
    keys += [Patch(facecolor=ink) for ink, _ in groups[:12]]
    texts += [group for _, group in groups[:12]]
    style.legend(ax, keys, texts, loc="upper center", bbox_to_anchor=(0.5, 0.0),
                 ncols=min(4, len(keys)))  # fmt: skip


def _reach(ax: Any, slots: dict[_Node, tuple[float, float]], size: float) -> tuple[Array, float]:
    """Return how far names go left, right, down and up in radii, and the radius in points."""
    box = ax.get_position()
    inches = ax.figure.get_size_inches()
    width, height = 72 * 1.2 * box.width * inches[0], 72 * 1.15 * box.height * inches[1] - 60
    turns = np.deg2rad([(first + last) / 2 for first, last in slots.values()])
    lengths = np.array([len(style.safe(node.name, _LONGEST)) for node in slots])
    towards = np.stack([-np.cos(turns), np.cos(turns), -np.sin(turns), np.sin(turns)])
    reach, radius = np.full(4, 1.2), 200.0
    for _ in range(40):  # names keep their size: where the ring gives way, they reach farther
        far = _TEXT + 0.54 * size * lengths / radius + 0.03
        reach = np.maximum((towards * far).max(axis=1), 1.15)
        fits = min(width / (reach[0] + reach[1]), height / (reach[2] + reach[3] + 0.16))
        radius = max(0.5 * (radius + fits), 30.0)
    return reach, radius
