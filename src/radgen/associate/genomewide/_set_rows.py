"""The tests of one set of variants with all traits, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.associate.genomewide._set_nulls import TraitNull
from radgen.genome.burden import beta_weights, set_test
from radgen.types import GenotypeMatrix

__all__ = ["EFFECT", "P_VALUES", "SetOptions", "rows_of_set"]

_Z95 = 1.959963984540054
EFFECT = ("beta_mask", "se_mask", "ci_low", "ci_high")
P_VALUES = ("p_mask", "p_burden", "p_skat", "p_skato", "rho", "p_acatv", "p_acato")


@dataclass(frozen=True, slots=True)
class SetOptions:
    """Which variants of a set count, and how; see `radgen.associate.burden`."""

    bounds: Sequence[float]
    allele: str
    weights: Mapping[str, float] | None
    beta: tuple[float, float]
    min_mac: float
    quadrature: Literal["exact", "skat"]


def rows_of_set(
    label: str,
    genotypes: GenotypeMatrix,
    rows: Sequence[int],
    models: Sequence[TraitNull],
    options: SetOptions,
) -> list[dict[str, Any]]:
    """Return a row a bound of the frequency and trait; `rows` are the variants of the set."""
    view = genotypes.take_variants(rows)
    ids = view.variants["id"].to_list()
    dosage = np.asarray(view.read(0, len(rows)), float)
    mean = np.nanmean(dosage, axis=1) if len(rows) else np.empty(0)
    share = (np.minimum(mean, 2.0 - mean) if options.allele == "minor" else mean) / 2.0
    out: list[dict[str, Any]] = []
    for bound in options.bounds:
        rare = np.flatnonzero(share <= bound)
        known = options.weights
        weight = None if known is None else np.array([known.get(ids[i], 0.0) for i in rare])
        for one in models:
            named = {"phenotype": one.name, "set": label, "max_maf": bound, "n": len(one.used)}
            out.append(named | _tests(dosage[np.ix_(rare, one.used)], one, weight, options))
    return out


def _tests(
    g: NDArray[np.float64],
    trait: TraitNull,
    weight: NDArray[np.float64] | None,
    options: SetOptions,
) -> dict[str, int | float | None]:
    if not len(g) or trait.null is None:
        return {"n_variants": 0, "n_carriers": 0} | dict.fromkeys((*EFFECT, *P_VALUES))
    if weight is None:
        mean = np.nanmean(g, axis=1)
        weight = beta_weights(np.minimum(mean, 2.0 - mean) / 2.0, *options.beta)
    found = set_test(
        g,
        trait.null,
        weights=weight,
        min_mac=options.min_mac,
        quadrature=options.quadrature,
        variance=trait.variance,
    )
    values = {name: getattr(found, name) for name in ("beta_mask", "se_mask", *P_VALUES)}
    half = _Z95 * found.se_mask
    values |= {"ci_low": found.beta_mask - half, "ci_high": found.beta_mask + half}
    clean = {name: None if np.isnan(value) else value for name, value in values.items()}
    ordered = {name: clean[name] for name in (*EFFECT, *P_VALUES)}
    return {"n_variants": found.n_variants, "n_carriers": found.n_carriers} | ordered
