"""Metabolites as phenotypes: what was measured well enough, and ratios of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError
from radgen.types import SPEC_COLUMNS, PhenotypeTable

__all__ = ["metabolite_phenotypes"]

_NONE = 999.0


def metabolite_phenotypes(
    spectra: pl.DataFrame,
    *,
    max_crlb: float = 20.0,
    ratios: Sequence[str] = (),
    detect: Collection[str] = (),
) -> PhenotypeTable:
    """Return amounts and ratios of metabolites, undefined where their bounds are too wide.

    Parameters
    ----------
    spectra : polars.DataFrame
        ``sample, voxel, metabolite, amount, crlb_percent``, of `radgen.io.read_spectra`.
    max_crlb : float
        Largest Cramér-Rao bound, per cent of the amount.
    ratios : sequence of str
        ``Cho/Cr``: numerator and denominator by name.
    detect : collection of str
        Metabolites that a tissue may lack (2HG, lactate, lipids): what is not measured well
        enough counts as 0, not as unknown.

    Returns
    -------
    PhenotypeTable
        A row a sample; of several voxels the mean of those that pass. NaN has a status and its
        reason.

    Raises
    ------
    InputError
        If a metabolite is unknown, the limit is not positive, or a ratio is not of two names.

    Notes
    -----
    A bound in per cent is wide where there is little of a metabolite, so that a limit throws out
    low amounts rather than bad spectra: without `detect`, 2HG of a tumour without the mutation is
    unknown, and a comparison of those left is biased.

    References
    ----------
    Kreis 2016, Magn Reson Med 75:15, doi:10.1002/mrm.25568. Pope et al. 2012, J Neurooncol 107:197,
    doi:10.1007/s11060-011-0737-8 (2HG).
    """
    if not max_crlb > 0:
        raise InputError(f"The largest bound is positive, not {max_crlb:g} %.")
    known = spectra["metabolite"].unique(maintain_order=True).to_list()
    pairs = [_pair(text, known) for text in ratios]
    for name in detect:
        if name not in known:
            raise InputError(f"There is no metabolite {name!r}. {did_you_mean(name, known)}")
    samples = spectra["sample"].unique(maintain_order=True).to_list()
    cells = dict(spectra.group_by("sample", "metabolite"))
    found: dict[str, dict[str, tuple[float, str]]] = {
        name: {s: _amount(cells.get((s, name)), max_crlb, detected=name in detect) for s in samples}
        for name in known
    }
    for top, bottom in pairs:
        found[f"{top}/{bottom}"] = {
            s: _ratio(found[top][s], found[bottom][s], (top, bottom)) for s in samples
        }
    values = np.array([[found[name][s][0] for name in found] for s in samples])
    status = [
        (s, name, "undefined", found[name][s][1])
        for s in samples for name in found if np.isnan(found[name][s][0])
    ]  # fmt: skip
    specs = pl.DataFrame(
        [
            dict.fromkeys(SPEC_COLUMNS, "") | {"name": n, "image": "MRS", "family": "metabolite",
             "feature": n, "unit": "1" if "/" in n and n not in known else "i.u."}
            for n in found
        ]
    ).select(SPEC_COLUMNS)  # fmt: skip
    schema = dict.fromkeys(("sample", "phenotype", "status", "reason"), pl.String)
    return PhenotypeTable(
        tuple(samples), values, specs, pl.DataFrame(status, schema=schema, orient="row")
    )


def _pair(text: str, known: Sequence[str]) -> tuple[str, str]:
    """Return numerator and denominator; names themselves may hold a plus, not a slash."""
    parts = tuple(part.strip() for part in text.split("/"))
    if len(parts) != 2:
        raise InputError(f"A ratio is of two metabolites, Cho/Cr; found {text!r}.")
    for name in parts:
        if name not in known:
            raise InputError(f"There is no metabolite {name!r}. {did_you_mean(name, known)}")
    return parts[0], parts[1]


def _amount(part: pl.DataFrame | None, limit: float, *, detected: bool) -> tuple[float, str]:
    nan = float("nan")
    if part is None:
        return nan, "not in the fit of this sample"
    amount = part["amount"].cast(pl.Float64).fill_null(nan).to_numpy()
    bound = part["crlb_percent"].cast(pl.Float64).fill_null(_NONE).to_numpy()
    good = np.isfinite(amount) & (bound <= limit) & (amount > 0)
    if good.any():
        return float(amount[good].mean()), ""
    if detected and np.isfinite(amount).any():
        return 0.0, ""
    least = float(bound.min())
    what = "not determined" if least >= _NONE else f"{least:g} %"
    return nan, f"Cramér-Rao bound {what}, limit {limit:g} %"


def _ratio(
    top: tuple[float, str], bottom: tuple[float, str], names: tuple[str, str]
) -> tuple[float, str]:
    for (value, reason), name in zip((top, bottom), names, strict=True):
        if np.isnan(value):
            return float("nan"), f"{name}: {reason}"
    if bottom[0] == 0:
        return float("nan"), f"{names[1]} was not detected"
    return top[0] / bottom[0], ""
