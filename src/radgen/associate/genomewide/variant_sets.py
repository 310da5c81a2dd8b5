"""Rare-variant tests of gene sets against image traits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.genomewide._input import coded_missing, prepare
from radgen.associate.genomewide._set_nulls import SetNulls
from radgen.associate.genomewide._set_rows import P_VALUES, SetOptions, rows_of_set
from radgen.errors import InputError, shown
from radgen.types import Covariates, FrameLike, GenotypeMatrix, Kinship, PhenotypeTable, Result

if TYPE_CHECKING:
    from radgen.associate.genomewide.ridge import RidgeResult

__all__ = ["BurdenResult", "burden"]


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

        require_choice(test, P_VALUES, what="test")
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
        saddle += _background_words(p)
        return (
            f"Variants with {which} allele frequency of at most {bounds} were tested by "
            f"set with burden, SKAT, SKAT-O and ACAT-V under a {p['model']} model, weighted by "
            f"{p['weighting']}, adjusted for {len(p['covariates'])} covariates; p-values are those "
            f"of the exact chi-square mixture.{saddle} Missing calls were taken at the mean."
        )


def _background_words(p: Mapping[str, Any]) -> str:
    """Return how relatives and polygenic background were taken into account."""
    if not p["kinship"]:
        return (
            " Predictions of a two-step ridge without the chromosome of a set were taken off "
            "the traits."
            if p["loco"]
            else ""
        )
    how = "REML" if p["model"] == "linear" else "penalised quasi-likelihood"
    words = (
        f" The kinship{' without the chromosome of a set' if p['loco'] else ''} is the covariance "
        f"of a random effect, its variance fitted by {how} without the sets"
    )
    if not p["kinship_share"]:
        return words + "."
    what = "share of the variance" if p["model"] == "linear" else "variance of the log odds"
    each = ", ".join(f"{name} {share:.3g}" for name, share in p["kinship_share"].items())
    return f"{words} ({what}: {each})."


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
    kinship: Kinship | Mapping[str, Kinship] | None = None,
    loco: RidgeResult | FrameLike | None = None,
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
    kinship : Kinship, mapping of str to Kinship, or None
        Relatedness of the samples: traits are then fitted by a mixed model, linear (REML) or
        logistic (penalised quasi-likelihood), once without the sets. Samples that it does not
        hold are left out. A mapping has the kinship of each chromosome that leaves it out. Time
        grows with the cube, memory with the square of the samples.
    loco : RidgeResult, data frame or None
        Predictions of `polygenic_background`, or of `read_background`: taken off a quantitative
        trait, and a known part of the log odds of a binary one.

    Returns
    -------
    BurdenResult
        One row a trait and set; null where no variant of the set varies.

    Raises
    ------
    InputError
        If there is no set, an option is out of range, ids in the genotypes are repeated,
        kinship and loco are both given, no set has a variant in the genotypes, or a set that
        needs one chromosome has several.
    AlignmentError
        If too few samples are common.
    FitError
        If no trait can be tested: constant beside the covariates, one class, classes that the
        covariates separate, a mixed model that does not settle. Where another trait can, a
        warning says so.

    Notes
    -----
    Of related samples with covariance V of a trait, scores are G'Py and their covariance is
    G'PG, P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1; the tests are those of independent samples on
    these (for binary traits V is that of the working trait). Saddle points are taken given the
    fitted probabilities, and scaled to the variance of the score, as SAIGE does.

    References
    ----------
    Chen et al. (2019), doi:10.1016/j.ajhg.2018.12.012 (SMMAT); Zhou et al. (2020),
    doi:10.1038/s41588-020-0621-6 (SAIGE-GENE); Mbatchou et al. (2021),
    doi:10.1038/s41588-021-00870-7 (leave-one-chromosome-out predictions).
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
    if kinship is not None and loco is not None:
        raise InputError("kinship and loco stand for the same background: give one of them.")
    genotypes, strangers = _with_kin(genotypes, kinship)
    data = coded_missing(prepare(genotypes, phenotypes, covariates, traits), model)
    nulls = SetNulls(data, model, variance, kinship=kinship, loco=loco)
    options = SetOptions(bounds, allele, weights, beta, min_mac, quadrature)
    members = _members(data.genotypes, sets)
    if not any(members.values()):
        raise InputError(
            f"No set has a variant in the genotypes: sets {shown(list(sets))} with variants such "
            f"as {shown(next(iter(sets.values())))}, genotypes with "
            f"{shown(data.genotypes.variants['id'].head(5).to_list())}. Spell variant ids alike."
        )
    rows: list[dict[str, Any]] = []
    saddled, shares = False, {}
    with progress("Testing sets", len(sets)) as tick:
        for chrom, labels in _by_place(members, nulls).items():
            models = nulls.of(chrom)
            saddled = saddled or any(one.variance == "saddle" for one in models)
            shares = {one.name: one.share for one in models if one.share is not None}
            for label in labels:
                rows += rows_of_set(label, data.genotypes, members[label], models, options)
                tick(1)
    traits_at = {name: number for number, name in enumerate(data.names)}
    sets_at = {name: number for number, name in enumerate(sets)}
    rows.sort(key=lambda row: (traits_at[row["phenotype"]], sets_at[row["set"]]))
    notes = [*data.notes, *strangers, *nulls.notes]
    empty = [name for name, known in members.items() if not known]
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
        "variance": "saddle" if saddled else "score",
        "min_mac": min_mac,
        "quadrature": quadrature,
        "kinship": kinship is not None,
        "loco": nulls.by_chromosome,
        "kinship_share": None if nulls.by_chromosome else shares,
    }
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return BurdenResult(frame, params, data.genotypes.n_samples, data.dropped, tuple(notes))


def _with_kin(
    genotypes: GenotypeMatrix, kinship: Kinship | Mapping[str, Kinship] | None
) -> tuple[GenotypeMatrix, tuple[str, ...]]:
    """Return the genotypes of samples that the kinship holds, and who is left out."""
    if kinship is None:
        return genotypes, ()
    from radgen.associate.genomewide._mixed import related_rows

    rows = related_rows(kinship, genotypes.samples)
    lost = sorted(set(range(genotypes.n_samples)) - set(rows))
    if not lost:
        return genotypes, ()
    names = shown([genotypes.samples[row] for row in lost])
    note = f"{len(lost)} samples are not in the kinship and were left out: {names}."
    return genotypes.take_samples(rows), (note,)


def _members(genotypes: GenotypeMatrix, sets: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return the rows of the variants of each set that the genotypes have.

    Raises
    ------
    InputError
        If two variants of a set have one id.
    """
    wanted = {name for items in sets.values() for name in items}
    place: dict[str, int] = {}
    for row, name in enumerate(genotypes.variants["id"].to_list()):
        if name in wanted and name in place:
            raise InputError(f"The genotypes hold two variants called {name!r}: make ids unique.")
        if name in wanted:
            place[name] = row
    return {
        name: sorted({place[item] for item in items if item in place})
        for name, items in sets.items()
    }


def _by_place(members: Mapping[str, list[int]], nulls: SetNulls) -> dict[str | None, list[str]]:
    """Return the sets of each chromosome, so that its models are fitted once."""
    found: dict[str | None, list[str]] = {}
    for label, rows in members.items():
        found.setdefault(nulls.place_of(label, rows), []).append(label)
    return found
