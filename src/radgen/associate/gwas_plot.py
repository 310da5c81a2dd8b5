"""Pictures of a genome-wide scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from radgen.associate.gwas_result import GwasResult

__all__ = ["manhattan", "qq"]

_COLOURS = ("#33658a", "#86bbd8")
_LINE = "#c1403d"


def manhattan(result: GwasResult, *, ax: Any = None) -> Any:
    """Draw -log10 p by position, the chromosomes side by side; return the Axes.

    Parameters
    ----------
    result : GwasResult
        Its rows in memory are drawn; many traits share the picture.
    ax : matplotlib Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax, (10.0, 3.6))
    frame = result.frame.filter(pl.col("log10p").is_finite()).select("chrom", "pos", "log10p")
    chroms = frame["chrom"].unique(maintain_order=True).to_list()
    chroms.sort(key=lambda name: (0, int(name), "") if name.isdigit() else (1, 0, name))
    at = 0.0
    ticks = []
    for number, chrom in enumerate(chroms):
        part = frame.filter(pl.col("chrom") == chrom)
        pos = part["pos"].to_numpy().astype(float)
        width = max(float(pos.max() - pos.min()), 1.0)
        ax.scatter(
            pos - pos.min() + at,
            -part["log10p"].to_numpy(),
            s=5,
            color=_COLOURS[number % 2],
            linewidths=0,
            rasterized=True,
        )
        ticks.append(at + width / 2)
        at += width * 1.02 + 1.0
    ax.axhline(-np.log10(5e-8), color=_LINE, lw=0.8, ls="--")
    ax.set_xticks(ticks, chroms, fontsize=7)
    ax.set(xlabel="Chromosome", ylabel=r"$-\log_{10} p$")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def qq(result: GwasResult, *, ax: Any = None) -> Any:
    """Draw observed against expected -log10 p of each trait, with a 95 % band; return the Axes.

    Parameters
    ----------
    result : GwasResult
        All tests are drawn, from its counts, also those that were not kept.
    ax : matplotlib Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib Axes
    """
    from scipy.special import betaincinv

    ax = _axes(ax, (4.2, 4.2))
    names = result.summary["phenotype"].to_list()
    most = int(result.summary["n_tests"].max() or 0)  # type: ignore[arg-type]
    if most:
        rank = np.unique(np.geomspace(1, most, 200).astype(int))
        expected = -np.log10((rank - 0.5) / most)
        low, high = (betaincinv(rank, most - rank + 1, q) for q in (0.025, 0.975))
        ax.fill_between(expected, -np.log10(low), -np.log10(high), color="0.85", lw=0)
        ax.plot([0, expected.max()], [0, expected.max()], color="0.4", lw=0.8)
    for name in names:
        part = result.qq.filter(pl.col("phenotype") == name).sort("log10p")
        if not part.height:
            continue
        seen = part["count"].to_numpy().cumsum()
        expected = -np.log10((seen - 0.5) / seen[-1])
        label = None
        if len(names) <= 6:
            inflation = result.summary.filter(pl.col("phenotype") == name)["lambda_gc"][0]
            label = f"{name} (λ = {inflation:.3f})"
        ax.plot(expected, -part["log10p"].to_numpy(), ".", ms=3, label=label, rasterized=True)
    if 0 < len(names) <= 6:
        ax.legend(frameon=False, fontsize=7)
    ax.set(xlabel=r"Expected $-\log_{10} p$", ylabel=r"Observed $-\log_{10} p$")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()
