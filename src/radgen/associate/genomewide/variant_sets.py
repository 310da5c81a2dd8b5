"""Rare-variant tests of gene sets against image traits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.genomewide._input import GwasInput, prepare
from radgen.associate.genomewide._logistic import binary
from radgen.errors import InputError, shown
from radgen.genome.burden import RareNull, beta_weights, null_binary, null_continuous, set_test
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["BurdenResult", "burden"]


_FEW = 0.2
_Z95 = 1.959963984540054
_EFFECT = ("beta_mask", "se_mask", "ci_low", "ci_high")
_P = ("p_mask", "p_burden", "p_skat", "p_skato", "rho", "p_acatv", "p_acato")


@dataclass(frozen=True, eq=False)
class BurdenResult(Result):
    """Tests of variant sets against traits.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, set, max_maf, n, n_variants, n_carriers, beta_mask, se_mask, ci_low, ci_high,
        p_mask (the largest dosage over the set as one genotype), p_burden, p_skat, p_skato, rho,
        p_acatv, p_acato; the traits in order, then the sets, then the bounds of the frequency.
    """

    kind: ClassVar[str] = "burden"
    plots: ClassVar[tuple[str, ...]] = ("qq", "forest")

    def plot(self, kind: str, *, ax: Any = None, test: str = "p_acato", n: int = 20) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "qq" (p of the sets) or "forest" (effects of carrying, the smallest p first).
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        test : str
            Column of p that is drawn and ranks.
        n : int, default 20
            Sets of the forest.

        Raises
        ------
        InputError
            If this result has no such plot or column.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        require_choice(test, _P, what="test")
        frame = self.frame.drop_nulls(test).sort(test)
        if kind == "qq":
            return plot.qq(np.log10(np.maximum(frame[test].to_numpy(), 1e-300)), name=test, ax=ax)
        frame = frame.drop_nulls("beta_mask").head(n)
        names = [f"{row[0]} · {row[1]}" for row in frame.select("set", "phenotype").rows()]
        values = (frame[name].to_numpy() for name in ("beta_mask", "ci_low", "ci_high"))
        return plot.forest(names, *values, xlabel="Effect of carrying (95 % interval)", ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        tested = self.frame.filter(pl.col("p_skato").is_not_null())
        limit = 0.05 / max(tested.height, 1)
        hits = tested.filter(pl.col("p_skato") < limit).sort("p_skato")
        words = [
            f"{tested.height} tests of sets and traits were made in {self.n_used} people; "
            f"{hits.height} reached p < {limit:.2g} by SKAT-O (0.05 over the tests)."
        ]
        words += [
            f"{row['set']} and {row['phenotype']}: SKAT-O p = {row['p_skato']:.2g}, burden p = "
            f"{row['p_burden']:.2g}, {row['n_variants']} variants, {row['n_carriers']} carriers, "
            f"effect of carrying {row['beta_mask']:.3g} ({row['ci_low']:.3g} to "
            f"{row['ci_high']:.3g})."
            for row in hits.head(5).iter_rows(named=True)
        ]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        bounds = ", ".join(f"{bound:g}" for bound in p["max_maf"])
        which = "a minor" if p["allele"] == "minor" else "an ALT"
        saddle = (
            " Variances of scores were set by saddle-point approximation."
            if p["variance"] == "saddle"
            else ""
        )
        return (
            f"Variants with {which} allele frequency of at most {bounds} were tested by "
            f"set with burden, SKAT, SKAT-O and ACAT-V under a {p['model']} model, weighted by "
            f"{p['weighting']}, adjusted for {len(p['covariates'])} covariates; p-values are those "
            f"of the exact chi-square mixture.{saddle} Missing calls were taken at the mean."
        )


def burden(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    sets: Mapping[str, Sequence[str]],
    covariates: Covariates | FrameLike | None = None,
    *,
    model: Literal["linear", "logistic"] = "linear",
    traits: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    beta: tuple[float, float] = (1.0, 25.0),
    max_maf: float | Sequence[float] = 1.0,
    allele: Literal["minor", "alt"] = "minor",
    min_mac: float = 10.0,
    quadrature: Literal["exact", "skat"] = "exact",
    variance: Literal["auto", "score", "saddle"] = "auto",
) -> BurdenResult:
    """Return burden, SKAT, SKAT-O and ACAT-V of sets of variants with traits.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once a set and pattern of missing traits.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; missing values leave the sample out of that trait.
    sets : mapping of str to sequence of str
        Variant ids of each set (gene, mask). Ids that the genotypes do not have are ignored; a
        set without any is reported in ``warnings``.
    covariates : Covariates, data frame or None
        As for `gwas`.
    model : {"linear", "logistic"}
        Logistic traits are coded 0/1 or 1/2.
    traits : sequence of str or None
        Which traits; None = all.
    weights : mapping of str to float or None
        Weight of each variant by id (annotation, codon usage); absent = 0. None = the Beta
        density of the minor allele frequency.
    beta : (float, float), default (1, 25)
        Parameters of the Beta density.
    max_maf : float or sequence of float, default 1
        Largest frequency over the samples at hand; several bounds give a row each.
    allele : {"minor", "alt"}
        Whose frequency counts: that of the rarer allele, which is then counted; or that of ALT,
        to which annotations refer.
    min_mac : float, default 10
        ACAT-V tests variants with fewer minor alleles together.
    quadrature : {"exact", "skat"}
        See `radgen.genome.burden.set_test`.
    variance : {"auto", "score", "saddle"}
        Of binary traits: "saddle" sets the variance of scores by saddle-point approximation;
        "auto" does so where fewer than 1 in 5 people are cases, or controls.

    Returns
    -------
    BurdenResult
        One row a trait and set; null where no variant of the set varies.

    Raises
    ------
    InputError
        If there is no set, an option is out of range, or ids in the genotypes are repeated.
    AlignmentError
        If too few samples are common.
    FitError
        If the covariates separate the classes of a binary trait.
    """
    require_choice(model, ("linear", "logistic"), what="model")
    require_choice(quadrature, ("exact", "skat"), what="quadrature")
    require_choice(allele, ("minor", "alt"), what="allele")
    require_choice(variance, ("auto", "score", "saddle"), what="variance")
    bounds = [float(max_maf)] if isinstance(max_maf, int | float) else sorted(max_maf)
    if not bounds or not all(0 < bound <= 1 for bound in bounds):
        raise InputError(f"max_maf is {max_maf}; needed are frequencies in (0, 1].")
    if not sets:
        raise InputError("There is no set of variants.")
    data = prepare(genotypes, phenotypes, covariates, traits)
    ids = data.genotypes.variants["id"].to_list()
    wanted = {name for members in sets.values() for name in members}
    place: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in wanted and name in place:
            raise InputError(f"The genotypes hold two variants called {name!r}: make ids unique.")
        if name in wanted:
            place[name] = row
    models = _models(data, model, variance)
    rows: list[dict[str, Any]] = []
    empty = [name for name, members in sets.items() if not any(item in place for item in members)]
    with progress("Testing sets", len(sets)) as tick:
        for label, members in sets.items():
            known = sorted({place[item] for item in members if item in place})
            view = data.genotypes.take_variants(known)
            dosage = np.asarray(view.read(0, len(known)), float)
            mean = np.nanmean(dosage, axis=1) if known else np.empty(0)
            share = (np.minimum(mean, 2.0 - mean) if allele == "minor" else mean) / 2.0
            for bound in bounds:
                rare = share <= bound
                own = np.array([ids[i] for i in known])[rare]
                weight = None if weights is None else np.array([weights.get(i, 0.0) for i in own])
                for trait, used, null, how in models:
                    g = dosage[rare][:, used]
                    rows.append(
                        {"phenotype": trait, "set": label, "max_maf": bound, "n": len(used)}
                        | _tests(g, null, weight, beta, (min_mac, quadrature, how))
                    )
            tick(1)
    order = {name: number for number, name in enumerate(data.names)}
    rows.sort(key=lambda row: order[row["phenotype"]])
    notes = list(data.notes)
    if empty:
        notes.append(f"{len(empty)} sets have no variant in the genotypes: {shown(empty)}.")
    params = {
        "model": model,
        "traits": data.names,
        "covariates": data.covariate_names,
        "n_sets": len(sets),
        "weighting": "supplied weights" if weights is not None else f"Beta{beta} of the frequency",
        "max_maf": tuple(bounds),
        "allele": allele,
        "variance": "saddle" if any(how == "saddle" for *_, how in models) else "score",
        "min_mac": min_mac,
        "quadrature": quadrature,
    }
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return BurdenResult(frame, params, data.genotypes.n_samples, data.dropped, tuple(notes))


def _models(
    data: GwasInput, model: str, variance: str
) -> list[tuple[str, NDArray[np.int64], RareNull, str]]:
    """Return of each trait its name, people, model without a set, and kind of variance."""
    models = []
    for name, column in zip(data.names, data.values.T, strict=True):
        used = np.flatnonzero(np.isfinite(column))
        x = np.column_stack([np.ones(len(used)), data.covariates[used]])
        y = column[used]
        if model == "linear":
            models.append((name, used, null_continuous(y, x), "score"))
            continue
        cases = binary(name, y)
        rare = min(cases.mean(), 1 - cases.mean()) < _FEW
        how = ("saddle" if rare else "score") if variance == "auto" else variance
        models.append((name, used, null_binary(cases, x), how))
    return models


def _tests(
    g: Any, null: Any, weight: Any, beta: tuple[float, float], rest: tuple[Any, Any, Any]
) -> dict[str, int | float | None]:
    if not len(g):
        return {"n_variants": 0, "n_carriers": 0} | dict.fromkeys((*_EFFECT, *_P))
    if weight is None:
        mean = np.nanmean(g, axis=1)
        weight = beta_weights(np.minimum(mean, 2.0 - mean) / 2.0, *beta)
    min_mac, quadrature, variance = rest
    found = set_test(
        g, null, weights=weight, min_mac=min_mac, quadrature=quadrature, variance=variance
    )
    values = {name: getattr(found, name) for name in ("beta_mask", "se_mask", *_P)}
    half = _Z95 * found.se_mask
    values |= {"ci_low": found.beta_mask - half, "ci_high": found.beta_mask + half}
    clean = {name: None if np.isnan(values[name]) else values[name] for name in (*_EFFECT, *_P)}
    return {"n_variants": found.n_variants, "n_carriers": found.n_carriers} | clean
