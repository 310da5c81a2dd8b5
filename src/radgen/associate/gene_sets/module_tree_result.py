"""What trees of image traits say of gene modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import polars as pl

from radgen.errors import InputError
from radgen.types import Result

__all__ = ["MODULE_COLUMNS", "NODE_COLUMNS", "ModuleTreeResult"]

_LEVEL = 0.05

NODE_COLUMNS = {
    "module": pl.String,
    "node": pl.Int64,
    "parent": pl.Int64,
    "left": pl.Int64,
    "right": pl.Int64,
    "depth": pl.Int64,
    "rule": pl.String,
    "n": pl.Int64,
    "mean": pl.Float64,
    "trait": pl.String,
    "threshold": pl.Float64,
    "gain": pl.Float64,
    "held_out": pl.Float64,
    "p": pl.Float64,
}
"""Columns of the table of nodes, with their types."""

MODULE_COLUMNS = {
    "module": pl.String,
    "n_genes": pl.Int64,
    "n": pl.Int64,
    "n_leaves": pl.Int64,
    "traits": pl.String,
    "p": pl.Float64,
    "q_bh": pl.Float64,
    "r_held_out": pl.Float64,
    "gain_held_out": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of the table of modules, with their types."""


@dataclass(frozen=True, eq=False)
class ModuleTreeResult(Result):
    """A tree of image traits for each gene module.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a node, the root of a module first: ``rule`` (the path to it), ``n``, ``mean`` of the
        module's score, and, where it is split, ``trait``, ``threshold`` (up to it: left),
        ``gain`` (log marginal likelihood), ``held_out`` (log density per held-out sample) and
        ``p`` (permutations, over all traits and thresholds).
    modules : polars.DataFrame
        A row a module: ``n_leaves``, ``traits``, ``p, q_bh`` of the first split, ``r_held_out``
        and ``gain_held_out``: correlation, and gain in log density over no tree, of trees grown
        without the samples that they are judged on.
    samples : polars.DataFrame
        ``module, sample, score, leaf``.
    expression : polars.DataFrame
        ``module, gene`` and a column a sample: z-scores of the genes that are drawn.
    traits : polars.DataFrame
        ``sample`` and the traits that split.
    """

    kind: ClassVar[str] = "module_tree"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("module_tree",)

    modules: pl.DataFrame = field(default_factory=pl.DataFrame)
    samples: pl.DataFrame = field(default_factory=pl.DataFrame)
    expression: pl.DataFrame = field(default_factory=pl.DataFrame)
    traits: pl.DataFrame = field(default_factory=pl.DataFrame)

    def grown(self) -> list[str]:
        """Return the modules whose tree has a split, the best held-out gain first."""
        rows = self.modules.filter(pl.col("n_leaves") > 1)
        return rows.sort("gain_held_out", descending=True)["module"].to_list()

    def statements(self) -> tuple[str, ...]:
        """Return which modules image traits sort, in plain words."""
        tested = self.modules.filter(pl.col("p").is_not_null())
        hits = tested.filter((pl.col("q_bh") <= _LEVEL) & (pl.col("n_leaves") > 1))
        chance = self.params["alpha"] * tested.height
        lines = [
            f"{len(self.grown())} of {tested.height} modules have a tree (chance alone gives at "
            f"most {chance:.2g}); the first splits of {hits.height} of them pass a false discovery "
            f"rate of {_LEVEL:g}."
        ]
        for name in self.grown()[:5]:
            row = self.modules.filter(pl.col("module") == name).row(0, named=True)
            root = self.frame.filter((pl.col("module") == name) & (pl.col("node") == 0)).row(
                0, named=True
            )
            means = [
                self.frame.filter((pl.col("module") == name) & (pl.col("node") == root[side]))
                for side in ("left", "right")
            ]
            lines.append(
                f"{name} ({row['n_genes']} genes) is {means[0]['mean'][0]:.2f} where "
                f"{root['trait']} is at most {root['threshold']:.3g} (n = {means[0]['n'][0]}) and "
                f"{means[1]['mean'][0]:.2f} above (n = {means[1]['n'][0]}), p = {root['p']:.2g}; "
                f"trees grown without the judged samples: r = {row['r_held_out']:.2f}, "
                f"{row['gain_held_out']:+.3f} in log density per sample."
            )
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        params = self.params
        return (
            f"For each of {self.modules.height} gene modules a tree of image traits was grown on "
            "its score (mean of standardised genes, signs by the first component), after Segal et "
            "al.: the split with the largest normal-gamma marginal likelihood is made where its "
            f"permutation p over all traits and thresholds ({params['n_permutations']} "
            f"permutations) is at most {params['alpha']:g} and the log density of samples held out "
            f"of the search rises ({params['folds']} folds); at most {params['max_depth']} splits "
            f"in a row, {params['min_leaf']} samples in a leaf. Whole trees were judged in "
            "cross-validation."
        )

    def plot(self, kind: str, *, ax: Any = None, module: str | None = None) -> Any:
        """Draw the tree of a module over its genes and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"module_tree"}
            The picture.
        ax : matplotlib Axes or None
            Where to draw.
        module : str or None
            Which module; the one with the best held-out gain where None.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        InputError
            If there is no such plot, or the module has no tree.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        name = module or next(iter(self.grown()), None)
        if name is None or name not in self.expression["module"]:
            raise InputError(f"Module {name!r} has no tree to draw.")
        from radgen.plot import cluster_order, tree_heatmap

        own = self.samples.filter(pl.col("module") == name)
        genes = self.expression.filter(pl.col("module") == name)
        matrix = genes.select(own["sample"].to_list()).to_numpy()
        order = cluster_order(matrix)[0]
        nodes = self.frame.filter(pl.col("module") == name).sort("node").to_dicts()
        used = list(dict.fromkeys(node["trait"] for node in nodes if node["trait"]))
        values = own.select("sample").join(self.traits, on="sample", how="left")
        return tree_heatmap(
            nodes,
            own["leaf"].to_numpy(),
            matrix[order],
            row_names=[genes["gene"][int(k)] for k in order],
            strips={trait: values[trait].to_numpy() for trait in used},
            ax=ax,
        )
