"""One phenotype and one molecular feature: the samples, the test, the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean
from radgen.associate.association import scan
from radgen.associate.association_result import power_of_ten
from radgen.errors import InputError
from radgen.stats.linear import covariate_basis, residualise
from radgen.types import Covariates, OmicsTable, PhenotypeTable, Result, align

__all__ = ["PairResult", "pair"]

Array = NDArray[np.float64]

_CLASSES = 6


@dataclass(frozen=True, eq=False)
class PairResult(Result):
    """One pair, sample by sample.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample, phenotype, feature`` as measured, and ``phenotype_adjusted, feature_adjusted``:
        residuals of both on the covariates, plus their means; equal to the measured ones without
        covariates.
    test : polars.DataFrame
        The row that `scan` gives of this pair.
    """

    kind: ClassVar[str] = "pair"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("pair",)

    test: pl.DataFrame | None = None

    def statements(self) -> tuple[str, ...]:
        """Return the test in words."""
        assert self.test is not None
        row = self.test.row(0, named=True)
        if row["log10p"] is None:
            return (f"The pair could not be tested: {row['reason']}.",)
        given = self.params["covariates"]
        adjusted = f", adjusted for {', '.join(given)}" if given else ""
        text = (
            f"{self.params['phenotype']} and {self.params['feature']}: {row['test']} test"
            f"{adjusted}, n = {row['n']}"
        )
        if row["effect"] is not None:
            text += f", effect {row['effect']:.3g}"
            if row["ci_low"] is not None:
                text += f" ({row['ci_low']:.3g} to {row['ci_high']:.3g})"
        return (f"{text}, p = {power_of_ten(row['log10p'])}.",)

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the samples and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"pair"}
            A scatter plot, or violins where one side has few classes.
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
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.plot import scatter, violin

        assert self.test is not None
        row = self.test.row(0, named=True)
        note = f"n = {self.n_used}"
        if row["log10p"] is not None:
            note += f", p = {power_of_ten(row['log10p'])}"
        names = {side: str(self.params[side]) for side in ("phenotype", "feature")}
        more = " (adjusted)" if self.params["covariates"] else ""
        for classes, numbers in (("feature", "phenotype"), ("phenotype", "feature")):
            if self._few(classes):
                groups = self._groups(classes, f"{numbers}_adjusted", names[classes])
                return violin(groups, ylabel=f"{names[numbers]}{more}", note=note, ax=ax)
        return scatter(
            self.frame["feature_adjusted"].to_numpy(), self.frame["phenotype_adjusted"].to_numpy(),
            xlabel=f"{names['feature']}{more}", ylabel=f"{names['phenotype']}{more}", note=note,
            ax=ax,
        )  # fmt: skip

    def _few(self, side: str) -> bool:
        return self.frame[side].n_unique() <= _CLASSES

    def _groups(self, side: str, values: str, name: str) -> Mapping[str, Array]:
        levels = sorted(self.frame[side].unique().to_list())
        words = {0.0: "wild-type", 1.0: "mutant"} if self.params["layer"] == "mutation" else {}
        return {
            words.get(level, f"{name} = {level:g}"): self.frame.filter(pl.col(side) == level)[
                values
            ].to_numpy()
            for level in levels
        }


def pair(
    phenotypes: PhenotypeTable,
    omics: OmicsTable,
    phenotype: str,
    feature: str,
    covariates: Covariates | None = None,
    **options: Any,
) -> PairResult:
    """Return one pair of a scan with its samples, to look at.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes.
    omics : OmicsTable
        The molecular layer.
    phenotype, feature : str
        Names of the pair.
    covariates : Covariates or None
        Adjusted for, in the test and in the picture.
    **options : object
        Passed on to `scan` (``test``, ``standardise`` …).

    Returns
    -------
    PairResult
        Samples, test and picture.

    Raises
    ------
    InputError
        If there is no such phenotype or feature; the nearest name is given.
    AlignmentError
        If too few samples match.

    Examples
    --------
    >>> ids = [f"s{i}" for i in range(20)]
    >>> images = PhenotypeTable.from_frame({"sample": ids, "volume": np.arange(20.0)})
    >>> layer = OmicsTable(ids, ["EGFR"], (np.arange(20) > 9).astype(float)[:, None], "mutation",
    ...                    "binary")
    >>> pair(images, layer, "volume", "EGFR").statements()[0]
    'volume and EGFR: linear test, n = 20, effect 10 (7.16 to 12.8), p = 7.5e-7.'
    """
    for name, known, what in (
        (phenotype, phenotypes.names, "phenotype"),
        (feature, omics.features, f"{omics.layer} feature"),
    ):
        if name not in known:
            raise InputError(f"There is no {what} {name!r}. {did_you_mean(name, known)}")
    images = phenotypes.take(columns=[phenotypes.names.index(phenotype)])
    layer = omics.take(columns=[omics.features.index(feature)])
    found = scan(images, layer, covariates, **options)
    tables = {"images": images.samples, "molecules": layer.samples}
    if covariates is not None:
        tables["covariates"] = covariates.samples
    both = align(tables, need=3)
    y = images.values[both.rows["images"], 0]
    x = layer.values[both.rows["molecules"], 0]
    z = None if covariates is None else covariates.values[both.rows["covariates"]]
    keep = np.isfinite(y) & np.isfinite(x)
    if z is not None:
        keep &= np.isfinite(z).all(axis=1)
    rows = np.flatnonzero(keep)
    y, x = y[rows], x[rows]
    free = [own if z is None else _free(own, z[rows]) for own in (y, x)]
    return PairResult(
        frame=pl.DataFrame(
            {
                "sample": [both.samples[k] for k in rows],
                "phenotype": y,
                "feature": x,
                "phenotype_adjusted": free[0],
                "feature_adjusted": free[1],
            }
        ),
        params=dict(found.params)
        | {
            "phenotype": phenotype,
            "feature": feature,
            "layer": omics.layer,
            "covariates": list(covariates.names) if covariates is not None else [],
        },
        n_used=len(rows),
        dropped=found.dropped,
        warnings=found.warnings,
        provenance={"step": "associate.pair", "version": 1},
        test=found.frame,
    )


def _free(values: Array, covariates: Array) -> Array:
    basis = covariate_basis(covariates, len(values))
    return np.asarray(residualise(values[:, None], basis)[:, 0] + values.mean())
