"""Rare-variant tests of a set of variants: burden, SKAT, SKAT-O, ACAT-V."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.genome.rare_null import RareNull, null_binary, null_continuous
from radgen.stats.combine import cauchy
from radgen.stats.mixture import liu_moments, mixture_p
from radgen.stats.tail import chi2_log10p

__all__ = [
    "RareNull",
    "SetTest",
    "acat",
    "beta_weights",
    "null_binary",
    "null_continuous",
    "set_test",
]

Array = NDArray[np.float64]
_RHO = (0.0, 0.01, 0.04, 0.09, 0.25, 0.5, 1.0)
_SMALL = 1e-5


@dataclass(frozen=True, slots=True)
class SetTest:
    """Tests of one set of variants.

    Attributes
    ----------
    n_variants : int
        Variants of the set that vary.
    q_skat, p_skat : float
        SKAT statistic (on the scale of the R package) and p.
    q_burden, p_burden : float
        Burden statistic and p.
    p_skato, rho : float
        SKAT-O p, and the mixing of burden and SKAT that gave the least p.
    p_acatv, p_acato : float
        ACAT-V, and the Cauchy combination of SKAT, burden and ACAT-V.
    n_carriers : int
        People with at least one minor (or counted) allele of the set.
    beta_mask, se_mask, p_mask : float
        Effect of the largest dosage over the set (0, 1, 2: the mask of REGENIE), its standard
        error, and the score test's p.
    """

    n_variants: int
    q_skat: float
    p_skat: float
    q_burden: float
    p_burden: float
    p_skato: float
    rho: float
    p_acatv: float
    p_acato: float
    n_carriers: int
    beta_mask: float
    se_mask: float
    p_mask: float


def beta_weights(maf: ArrayLike, a: float = 1.0, b: float = 25.0) -> Array:
    """Return the Beta(a, b) density at minor allele frequencies, SKAT's weights.

    Examples
    --------
    >>> beta_weights([0.01, 0.3]).round(3).tolist()
    [19.642, 0.005]
    """
    from scipy.special import betaln

    p = np.asarray(maf, dtype=np.float64)
    inside = (p > 0) & (p < 1)
    safe = np.where(inside, p, 0.5)
    density = np.exp((a - 1) * np.log(safe) + (b - 1) * np.log1p(-safe) - betaln(a, b))
    return np.where(inside, density, 0.0)


def acat(p: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the Cauchy combination of p-values, however they are correlated.

    Parameters
    ----------
    p : array_like of float64
        NaN is left aside.
    weights : array_like of float64 or None
        Same length; None = equal.

    Returns
    -------
    float
        NaN where nothing is left.

    Raises
    ------
    InputError
        If a p lies outside [0, 1].

    References
    ----------
    Liu & Xie (2020), doi:10.1080/01621459.2018.1554485.

    Examples
    --------
    >>> round(acat([0.02, 0.02]), 12)
    0.02
    """
    return float(10.0 ** cauchy(p, weights=weights))


def set_test(
    dosage: Array,
    null: RareNull,
    *,
    weights: Array | None = None,
    min_mac: float = 10.0,
    quadrature: Literal["exact", "skat"] = "exact",
    variance: Literal["score", "saddle"] = "score",
) -> SetTest:
    """Return burden, SKAT, SKAT-O and ACAT-V of one set of variants.

    Parameters
    ----------
    dosage : ndarray of float64 (n_variants, n_samples)
        ALT dosages, NaN = missing: taken at the mean, as SKAT does.
    null : RareNull
        From `null_continuous` or `null_binary`, of the same samples.
    weights : ndarray of float64 (n_variants,) or None
        Weight of each variant; None = `beta_weights` of the minor allele frequency.
    min_mac : float, default 10
        ACAT-V tests variants with fewer minor alleles together, as one burden.
    quadrature : {"exact", "skat"}
        Of SKAT-O's integral: piecewise Gauss-Legendre, or the adaptive rule of the R package
        with its tolerance of 1.2e-4, which repeats its p to 1e-6.
    variance : {"score", "saddle"}
        Of a binary trait: "saddle" rescales the variance of each score, and of the burden, so
        that its test has the saddle-point p, which rare variants of few cases need.

    Returns
    -------
    SetTest
        NaN where no variant varies.

    Raises
    ------
    InputError
        If the shapes disagree or a weight is negative.

    Notes
    -----
    Alleles are turned so that the minor one is counted. Q = sum_j w_j^2 (g_j'r)^2 / 2 for
    SKAT, over the residual variance for a quantitative trait; its tail is that of a chi-square
    mixture. SKAT-O uses rho = 0, 0.01, 0.04, 0.09, 0.25,
    0.5, 1.

    References
    ----------
    Wu et al. (2011), doi:10.1016/j.ajhg.2011.05.029; Lee et al. (2012),
    doi:10.1093/biostatistics/kxs014; Liu et al. (2019), doi:10.1016/j.ajhg.2019.01.002; Zhao et
    al. (2020), doi:10.1016/j.ajhg.2019.11.012 (saddle-point variance).
    """
    g = np.asarray(dosage, dtype=np.float64)
    if g.ndim != 2 or g.shape[1] != len(null.residual):
        raise InputError(
            f"The dosages have shape {g.shape}; the model has {len(null.residual)} samples."
        )
    if weights is not None and (len(weights) != len(g) or (np.asarray(weights) < 0).any()):
        raise InputError("Needed is one weight >= 0 a variant.")
    known = np.isfinite(g)
    mean = np.where(known, g, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    g = np.where(known, g, mean[:, None])
    g[mean > 1.0] = 2.0 - g[mean > 1.0]
    maf = np.minimum(mean, 2.0 - mean) / 2.0
    w = beta_weights(maf) if weights is None else np.asarray(weights, float)
    use = (g.max(axis=1) - g.min(axis=1) > 1e-9) & (w > 0)
    if not use.any():
        nan = float("nan")
        return SetTest(0, nan, nan, nan, nan, nan, nan, nan, nan, 0, nan, nan, nan)
    g, w, maf = g[use], w[use], maf[use]
    z = null.deviates(g)
    score = g @ null.residual
    if variance == "saddle" and null.mu is not None:
        z = _saddle_scaled(g, z, score, w, null)
    z, score = z * w, score * w
    # A quantitative trait: Q is over the variance, its mixture over unit-variance genotypes.
    score, z = score / math.sqrt(null.scale), z / math.sqrt(null.scale)
    q_skat, q_burden = float(score @ score) / 2.0, float(score.sum()) ** 2 / 2.0
    z /= math.sqrt(2.0)
    p_skat = mixture_p(q_skat, _spectrum(z))
    p_burden = mixture_p(q_burden, [float((z.sum(axis=1) ** 2).sum())])
    p_skato, rho = _optimal(q_skat, q_burden, z, quadrature)
    p_acatv = _acat_v(g, w, maf, z, score, min_mac=min_mac)
    return SetTest(
        len(g), q_skat, p_skat, q_burden, p_burden, p_skato, rho, p_acatv,
        acat([p_skat, p_burden, p_acatv]), int((g > 0.5).any(axis=0).sum()),
        *_mask_test(g.max(axis=0), null, variance),
    )  # fmt: skip


def _mask_test(mask: Array, null: RareNull, variance: str) -> tuple[float, float, float]:
    """Return effect, standard error and p of one collapsed genotype by its score."""
    z = null.deviates(mask[None])[:, 0] / null.scale
    spread, score = float(z @ z), float(mask @ null.residual) / null.scale
    if null.is_constant(mask):
        nan = float("nan")
        return nan, nan, nan
    ratio = 1.0
    if variance == "saddle" and null.mu is not None:
        ratio = float(_saddle_ratio(mask[None], np.array([spread]), np.array([score]), null)[0])
    chi2 = score**2 / (spread * ratio)
    return score / spread, math.sqrt(ratio / spread), 10.0 ** float(chi2_log10p(chi2, 1))


def _saddle_ratio(g: Array, spread: Array, score: Array, null: RareNull) -> Array:
    """Return by how much variances of scores must grow for their tests to have saddle-point p.

    Where samples are related, scores are brought to the variance that they have given the
    fitted probabilities, whose law is known.
    """
    from radgen.stats.saddle import saddle_log10p
    from radgen.stats.tail import log10p_to_z

    assert null.mu is not None
    ratio = np.ones(len(score))
    far = np.flatnonzero(np.square(score) > 4.0 * spread)
    if len(far):
        z = null.given_mean(g[far])
        given = np.sqrt(np.einsum("nm,nm->m", z, z) / spread[far])
        adjusted = (z / np.sqrt(null.weight)[:, None]).T
        log10p, good = saddle_log10p(score[far] * given, adjusted, null.mu)
        deviate = log10p_to_z(np.where(good, log10p, -1.0))
        found = np.square(score[far]) / (spread[far] * np.square(deviate))
        ratio[far] = np.where(good & np.isfinite(found), found, 1.0)
    return ratio


def _saddle_scaled(g: Array, z: Array, score: Array, w: Array, null: RareNull) -> Array:
    """Return genotypes whose scores, and weighted sum, have saddle-point variances."""
    z = z * np.sqrt(_saddle_ratio(g, np.einsum("nm,nm->m", z, z), score, null))
    summed = (w @ g)[None]
    plain = null.deviates(summed)[:, 0]
    spread = np.array([float(plain @ plain)])
    wanted = float(_saddle_ratio(summed, spread, np.array([float(score @ w)]), null)[0] * spread[0])
    have = float(np.square(z @ w).sum())
    return z * math.sqrt(max(1.0, wanted / have)) if have > 0 else z


def _spectrum(z: Array) -> Array:
    small = z.T @ z if z.shape[1] <= z.shape[0] else z @ z.T
    values = np.linalg.eigvalsh(small)
    values = values[values >= 0]
    return np.asarray(values[values > values.mean() * _SMALL])


def _optimal(q_skat: float, q_burden: float, z: Array, quadrature: str) -> tuple[float, float]:
    """Return SKAT-O's p and the best rho."""
    m = z.shape[1]
    if m == 1:
        return mixture_p(q_skat, _spectrum(z)), 0.0
    from scipy.special import chdtri

    rhos = np.minimum(np.array(_RHO), 0.999)
    spectra, each = [], []
    for rho in rhos:
        root = math.sqrt(1 - rho) * z
        # Any square root of (1 - rho) I + rho 11' has the same spectrum.
        extra = (math.sqrt(1 - rho + m * rho) - math.sqrt(1 - rho)) / m
        spectra.append(_spectrum(root + extra * z.sum(axis=1, keepdims=True)))
        each.append(mixture_p((1 - rho) * q_skat + rho * q_burden, spectra[-1]))
    least = min(each)
    quantiles = []
    for spectrum in spectra:
        mean, sd, df, _ = liu_moments(spectrum)
        quantiles.append((chdtri(df, least) - df) / math.sqrt(2 * df) * sd + mean)
    p = _integrate(np.array(quantiles), rhos, z, quadrature)
    bound = least * 3.0
    return (min(p, bound) if p > 0 else bound), float(_RHO[int(np.argmin(each))])


def _integrate(quantiles: Array, rhos: Array, z: Array, quadrature: str) -> float:
    """Return P(some Q_rho beyond its quantile) by integrating over the burden part."""
    centre = z.mean(axis=1)
    square = float(centre @ centre)
    share = centre @ z / square
    rest = z - np.outer(centre, share)
    spectrum = _spectrum(rest)
    cross = 4.0 * float(((np.outer(share, share) * square) * (rest.T @ rest)).sum())
    tau = square * (z.shape[1] ** 2 * rhos + float(share @ share) * (1.0 - rhos))
    mean, total = float(spectrum.sum()), 2.0 * float((spectrum**2).sum())
    squeeze = math.sqrt(total) / math.sqrt(total + cross)
    lines = [(q / (1 - r), t / (1 - r)) for q, r, t in zip(quantiles, rhos, tau, strict=True)]

    def tail(x: float) -> float:
        value = (min(a - b * x for a, b in lines) - mean) * squeeze + mean
        return 1.0 if value <= 0 else mixture_p(value, spectrum)

    if quadrature == "skat":
        return _as_skat(tail)
    # x is chi-square(1); x = u^2 takes away the pole of its density at 0.
    places = _kinks(lines)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    missed = 0.0
    for low, high in pairwise(places):
        u = 0.5 * (high - low) * (nodes + 1.0) + low
        density = math.sqrt(2.0 / math.pi) * np.exp(-0.5 * u * u)
        beyond = np.array([tail(float(item * item)) for item in u])
        missed += float((beyond * density * weights).sum()) * 0.5 * (high - low)
    return missed + 10.0 ** float(chi2_log10p(40.0, 1))


def _as_skat(tail: Callable[[float], float]) -> float:
    """Return the integral with the adaptive rule and the loose tolerance of the R package."""
    from scipy.integrate import quad

    def inside(x: float) -> float:
        return (1.0 - tail(x)) * math.exp(-0.5 * x) / math.sqrt(2.0 * math.pi * x)

    return 1.0 - float(quad(inside, 0.0, 40.0, epsabs=1e-25, epsrel=2.0**-13, limit=1000)[0])


def _kinks(lines: list[tuple[float, float]]) -> list[float]:
    """Return where the least of the lines a - b x changes, or turns negative, as sqrt(x)."""
    inside = {0.0, 40.0}
    for i, (a, b) in enumerate(lines):
        others = [(0.0, 0.0), *lines[:i]]
        for c, d in others:
            if b == d or not 0 < (a - c) / (b - d) < 40:
                continue
            x = (a - c) / (b - d)
            least = min(p - q * x for p, q in lines)
            if a - b * x <= least + 1e-9 * max(abs(least), 1.0):
                inside.add(x)
    return sorted(math.sqrt(x) for x in inside)


def _acat_v(g: Array, w: Array, maf: Array, z: Array, score: Array, *, min_mac: float) -> float:
    """Return the Cauchy combination of single-variant tests, the rarest as one burden."""
    variance = 2.0 * (z * z).sum(axis=0)
    rare = maf * 2.0 * g.shape[1] < min_mac
    p, weight = [], []
    spread = maf * (1.0 - maf)
    for j in np.flatnonzero(~rare & (variance > 0)):
        p.append(10.0 ** float(chi2_log10p(score[j] ** 2 / variance[j], 1)))
        weight.append(w[j] ** 2 * spread[j])
    if rare.any():
        both = 2.0 * float((z[:, rare].sum(axis=1) ** 2).sum())
        if both > 0:
            p.append(10.0 ** float(chi2_log10p(score[rare].sum() ** 2 / both, 1)))
            middle = float(maf[rare].mean())
            weight.append(float(w[rare].mean()) ** 2 * middle * (1.0 - middle))
    return acat(p, weight)
