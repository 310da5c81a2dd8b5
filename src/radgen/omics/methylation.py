"""From methylation beta values to genes, and to the MGMT promoter's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from radgen.errors import InputError, shown
from radgen.types import OmicsTable

__all__ = ["MGMT_CUT", "gene_methylation", "m_values", "mgmt_stp27"]

Array = NDArray[np.float64]

MGMT_CUT = 0.3582
"""Probability from which MGMT-STP27 calls the promoter methylated."""

_MGMT = {"cg12434587": 0.5271, "cg12981137": 0.9265}
_MGMT_INTERCEPT = 4.3215


def m_values(beta: ArrayLike, *, edge: float = 1e-3) -> Array:
    """Return M values, log2(beta / (1 - beta)).

    Parameters
    ----------
    beta : array_like of float64
        In [0, 1]; NaN stays NaN.
    edge : float, default 1e-3
        Values nearer to 0 or 1 are moved to it, so that M stays finite.

    Returns
    -------
    ndarray of float64
        Same shape.

    Raises
    ------
    InputError
        If a value lies outside [0, 1].

    References
    ----------
    Du et al. (2010), BMC Bioinformatics 11, 587.

    Examples
    --------
    >>> m_values([0.5, 0.8]).round(6).tolist()
    [0.0, 2.0]
    """
    value = np.asarray(beta, dtype=np.float64)
    if np.any(value < 0) or np.any(value > 1):
        raise InputError("Beta values lie in [0, 1]. Are these M values already?")
    inside = np.clip(value, edge, 1 - edge)
    return np.asarray(np.log2(inside / (1 - inside)))


def gene_methylation(
    table: OmicsTable, probes: Mapping[str, Sequence[str]], *, min_probes: int = 1
) -> OmicsTable:
    """Return the mean beta value of the probes of each gene or region.

    Parameters
    ----------
    table : OmicsTable
        Beta values by probe.
    probes : mapping of str to sequence of str
        Probes of each gene (of its promoter, say).
    min_probes : int, default 1
        Genes with fewer probes in the table are left out; samples with fewer known ones are NaN.

    Returns
    -------
    OmicsTable
        Layer "methylation", scale "beta".

    Raises
    ------
    InputError
        If no gene has enough probes.
    """
    place = {name: column for column, name in enumerate(table.features)}
    names, columns = [], []
    for gene, members in probes.items():
        own = [place[probe] for probe in dict.fromkeys(members) if probe in place]
        if len(own) < max(min_probes, 1):
            continue
        part = table.values[:, own]
        known = np.isfinite(part)
        count = known.sum(axis=1)
        mean = np.where(known, part, 0.0).sum(axis=1) / np.maximum(count, 1)
        names.append(gene)
        columns.append(np.where(count >= max(min_probes, 1), mean, np.nan))
    if not names:
        raise InputError(f"No gene has {min_probes} probes among {shown(table.features, 3)}.")
    return OmicsTable(table.samples, tuple(names), np.column_stack(columns), "methylation", "beta")


def mgmt_stp27(table: OmicsTable) -> OmicsTable:
    """Return the probability that the MGMT promoter is methylated, and the call.

    Parameters
    ----------
    table : OmicsTable
        Beta values (scale "beta") or M values (scale "M") with the probes cg12434587 and
        cg12981137 of the Infinium 27K, 450K or EPIC arrays.

    Returns
    -------
    OmicsTable
        Features "MGMT probability" and "MGMT methylated" (0/1 by `MGMT_CUT`); NaN where a
        probe is missing.

    Raises
    ------
    InputError
        If a probe is not in the table, or the scale is another one.

    Notes
    -----
    logit(p) = 4.3215 + 0.5271 M(cg12434587) + 0.9265 M(cg12981137), on M values. It was fitted
    to M values of intensities, log2((meth + 1)/(unmeth + 1)); those of beta values differ little.

    References
    ----------
    Bady et al. (2012), Acta Neuropathol. 124, 547-560, doi:10.1007/s00401-012-1016-2; Bady,
    Delorenzi & Hegi (2016), J. Mol. Diagn. 18, 350-361 (R package mgmtstp27).

    Examples
    --------
    >>> probes = ("cg12434587", "cg12981137")
    >>> table = OmicsTable(("a", "b"), probes, [[0.5, 0.5], [0.02, 0.03]], "methylation", "beta")
    >>> mgmt_stp27(table).values.round(3).tolist()
    [[0.987, 1.0], [0.036, 0.0]]
    """
    lacking = [probe for probe in _MGMT if probe not in table.features]
    if lacking:
        raise InputError(f"MGMT-STP27 needs the probes {shown(lacking)}.")
    if table.scale not in ("beta", "M"):
        raise InputError(f"MGMT-STP27 needs beta or M values; the scale is {table.scale!r}.")
    values = table.values[:, [table.features.index(probe) for probe in _MGMT]]
    m = values if table.scale == "M" else m_values(values)
    chance = expit(_MGMT_INTERCEPT + m @ np.array(list(_MGMT.values())))
    call = np.where(np.isnan(chance), np.nan, (chance >= MGMT_CUT).astype(np.float64))
    return OmicsTable(
        table.samples,
        ("MGMT probability", "MGMT methylated"),
        np.column_stack([chance, call]),
        "methylation",
        "probability",
    )
