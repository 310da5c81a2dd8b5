"""Modules of genes against image traits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, ClassVar

import numpy as np
import polars as pl
from sklearn.base import clone

from radgen.associate.association import scan
from radgen.associate.association_result import AssociationResult
from radgen.associate.gene_sets._gene_side import complete_genes
from radgen.errors import InputError
from radgen.omics.modules import CoexpressionModules, module_table
from radgen.types import Covariates, OmicsTable, PhenotypeTable

__all__ = ["ModuleMapResult", "map_modules"]

_HUBS = 4
_LEVEL = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class ModuleMapResult(AssociationResult):
    """Association of all modules with all image traits, and what the modules are.

    Attributes
    ----------
    frame : polars.DataFrame
        As `AssociationResult` has it; ``omics`` is the module, and effects are in standard
        deviations of trait and module score.
    modules : polars.DataFrame
        A row a module: ``module, n_genes, explained, hubs`` (the genes that follow its score
        most closely).
    genes : polars.DataFrame
        A row a gene of the layer: ``gene, module`` ("" = none) and ``membership``, its
        correlation with the score of its module, or with the nearest one where it has none.
    scores : polars.DataFrame
        ``sample`` and a column a module.
    """

    kind: ClassVar[str] = "module_map"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("module_trait", "volcano", "forest")

    modules: pl.DataFrame = dataclasses.field(default_factory=pl.DataFrame)
    genes: pl.DataFrame = dataclasses.field(default_factory=pl.DataFrame)
    scores: pl.DataFrame = dataclasses.field(default_factory=pl.DataFrame)

    def gene_sets(self) -> dict[str, list[str]]:
        """Return the genes of each module, as set tests and `preservation` take them."""
        inside = self.genes.filter(pl.col("module") != "")
        groups = inside.group_by("module", maintain_order=True)
        found = {str(name[0]): part["gene"].to_list() for name, part in groups}
        return {name: found[name] for name in self.modules["module"] if name in found}

    def statements(self) -> tuple[str, ...]:
        """Return what the modules are and which go with which trait."""
        placed = self.genes.filter(pl.col("module") != "").height
        lines = [
            f"{self.modules.height} modules hold {placed} of {self.genes.height} genes: "
            + "; ".join(
                f"{row['module']} ({row['n_genes']} genes, {100 * row['explained']:.0f} % of "
                f"their variance, led by {row['hubs'].replace(',', ', ')})"
                for row in self.modules.head(6).iter_rows(named=True)
            )
            + "."
        ]
        return (*lines, *super().statements())

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        words = ", ".join(f"{k} {v}" for k, v in dict(self.params["estimator_params"]).items())
        return (
            f"Modules were learned from {self.genes.height} genes of {self.scores.height} samples "
            f"by {self.params['estimator']} ({words}), without a look at the images. "
            f"{super().methods()}"
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "module_trait" (correlations, adjusted for the covariates), "volcano" or "forest".
        ax : matplotlib Axes or None
            Where to draw.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        InputError
            If there is no such plot.
        """
        if kind != "module_trait":
            return super().plot(kind, ax=ax)
        from radgen.plot import module_trait, trimmed

        rows = self.correlations().filter(pl.col("r").is_not_null())
        order = rows.group_by("phenotype").agg(pl.col("p").min()).sort("p", "phenotype")
        traits = order.head(24)["phenotype"].to_list()
        names = self.modules["module"].head(24).to_list()
        place = {n: i for i, n in enumerate(names)}, {n: i for i, n in enumerate(traits)}
        values = np.full((len(names), len(traits)), np.nan)
        marks = np.zeros(values.shape, dtype=bool)
        for module, trait, r, q in rows.select("module", "phenotype", "r", "q_bh").iter_rows():
            if module in place[0] and trait in place[1]:
                values[place[0][module], place[1][trait]] = r
                marks[place[0][module], place[1][trait]] = q <= _LEVEL
        sizes = dict(self.modules.select("module", "n_genes").iter_rows())
        labels = [f"{name} ({sizes[name]})" for name in names]
        return module_trait(
            values, modules=labels, traits=trimmed(traits), significant=marks, ax=ax
        )

    def correlations(self) -> pl.DataFrame:
        """Return module, phenotype, partial correlation r with its p and q, a row a pair."""
        t, df = pl.col("statistic"), pl.col("df")
        r = pl.col("effect").sign() * t.abs() / (t**2 + df).sqrt()
        columns = [pl.col("omics").alias("module"), "phenotype", r.alias("r"), "n", "p", "q_bh"]
        return self.frame.select(*columns)


def map_modules(
    phenotypes: PhenotypeTable,
    omics: OmicsTable,
    covariates: Covariates | None = None,
    *,
    estimator: Any = None,
    max_missing: float = 0.2,
    permutations: int = 0,
    families: Mapping[str, str] | None = None,
    executor: Executor | None = None,
    seed: int = 0,
    **options: Any,
) -> ModuleMapResult:
    """Return modules of genes and their association with every image trait.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image traits.
    omics : OmicsTable
        Expression on a log scale. All of its samples shape the modules; those with images are
        tested.
    covariates : Covariates or None
        Adjusted for in the tests.
    estimator : estimator or None
        `CoexpressionModules`, `Metagenes` or `IndependentPrograms`; the first with
        ``random_state=seed`` where None. A clone is fitted.
    max_missing : float, default 0.2
        Genes with a larger share of missing values are left out; other holes are filled by the
        gene's mean.
    permutations : int, default 0
        Max-T permutations over all pairs.
    families : mapping of str to str or None
        Family of each phenotype.
    executor : concurrent.futures.Executor or None
        Where the tests run.
    seed : int, default 0
        Of modules and permutations.
    **options : object
        Passed on to `scan`.

    Returns
    -------
    ModuleMapResult
        All pairs, and the modules.

    Raises
    ------
    InputError
        If no module is found, or the layer holds raw counts.
    AlignmentError
        If too few samples match.

    Notes
    -----
    Modules are learned without the images, so that the tests are not biased by them. Scores of
    continuous traits and modules are standardised.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids, genes = [f"s{i}" for i in range(40)], [f"g{j}" for j in range(60)]
    >>> x = rng.standard_normal((40, 60))
    >>> x[:, :20] += 2 * rng.standard_normal((40, 1))
    >>> images = PhenotypeTable.from_frame({"sample": ids, "volume": x[:, :20].mean(axis=1)})
    >>> found = map_modules(images, OmicsTable(ids, genes, x, "expression", "log2"))
    >>> found.modules.height, found.significant().height
    (1, 1)
    """
    if omics.scale == "counts":
        raise InputError("The layer holds raw counts. Normalise it first (`omics.normalise`).")
    genes = complete_genes(np.asarray(omics.values), max_missing=max_missing)
    names = tuple(omics.features[j] for j in genes.columns)
    filled = OmicsTable(omics.samples, names, genes.values, omics.layer, omics.scale)
    asked = CoexpressionModules(random_state=seed) if estimator is None else estimator
    model = clone(asked).fit(filled.values)
    scores = module_table(model, filled)
    if not scores.n_features:
        raise InputError(
            f"No module of {len(names)} genes in {omics.n_samples} samples is stronger than "
            "chance. Lower min_size, take other genes (the most variable), or use gene sets."
        )
    found = scan(
        phenotypes, scores, covariates, permutations=permutations, families=families,
        executor=executor, seed=seed, **({"standardise": True} | options),
    )  # fmt: skip
    described = _described(model, filled, scores)
    kept = {item.name: getattr(found, item.name) for item in dataclasses.fields(found)}
    kept["params"] = dict(found.params) | {
        "estimator": type(model).__name__,
        "estimator_params": {k: _plain(v) for k, v in model.get_params().items()},
        "max_missing": max_missing,
    }
    kept["provenance"] = dict(found.provenance) | {"step": "associate.map_modules"}
    kept["warnings"] = (*found.warnings, *_notes(model, genes.n_dropped, genes.n_imputed))
    return ModuleMapResult(**kept, **described, scores=scores.to_frame())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _described(model: Any, filled: OmicsTable, scores: OmicsTable) -> dict[str, pl.DataFrame]:
    z = filled.values - filled.values.mean(axis=0)
    z = z / np.where(z.any(axis=0), np.sqrt((z**2).sum(axis=0)), 1.0)
    s = scores.values - scores.values.mean(axis=0)
    s = s / np.where(s.any(axis=0), np.sqrt((s**2).sum(axis=0)), 1.0)
    across = z.T @ s
    labels = np.asarray(model.labels_)
    nearest = np.where(labels > 0, labels - 1, np.abs(across).argmax(axis=1))
    own = across[np.arange(len(labels)), nearest]
    names = [scores.features[label - 1] if label else "" for label in labels]
    genes = pl.DataFrame({"gene": list(filled.features), "module": names, "membership": own})
    rows = []
    for number, name in enumerate(scores.features, 1):
        inside = np.flatnonzero(labels == number)
        order = inside[np.argsort(-np.abs(own[inside]), kind="stable")]
        share = float((across[inside, number - 1] ** 2).mean()) if len(inside) else 0.0
        hubs = ",".join(filled.features[j] for j in order[:_HUBS])
        rows.append({"module": name, "n_genes": len(inside), "explained": share, "hubs": hubs})
    return {"modules": pl.DataFrame(rows), "genes": genes}


def _notes(model: Any, n_dropped: int, n_imputed: int) -> list[str]:
    notes = []
    if not getattr(model, "scale_free_", True):
        notes.append(
            f"No soft threshold made the network scale-free; {model.power_:g} is the usual choice "
            "for that many samples."
        )
    if n_dropped:
        notes.append(f"{n_dropped} genes do not vary or are missing too often.")
    if n_imputed:
        notes.append(f"{n_imputed} missing values count as gene means.")
    return notes
