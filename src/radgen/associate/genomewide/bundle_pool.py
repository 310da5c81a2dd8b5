"""Joint analyses of several sites from their bundles, as if their people were in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean, require_choice
from radgen._core.progress import progress
from radgen.associate.genomewide._rows import TestRows, join_rows, to_frame
from radgen.associate.genomewide.bundle import Bundle, read_bundle
from radgen.associate.genomewide.result import GwasResult, summarise
from radgen.associate.many_traits.omnibus import OmnibusResult
from radgen.errors import InputError, shown
from radgen.stats.omnibus import acat_rows
from radgen.stats.tail import f_log10p, from_log10p, t_log10p

__all__ = ["PooledScanResult", "omnibus_bundles", "pool_bundles"]

Array = NDArray[np.float64]
_KEY = ["chrom", "pos", "first", "second"]
_BLOCK = 2048
_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class PooledScanResult(GwasResult):
    """A scan of several sites from their bundles; the fields of `GwasResult`."""

    kind: ClassVar[str] = "gwas_pooled"

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        return (
            f"Linear regressions of {len(p['traits'])} traits on each variant were computed from "
            f"the cross-products of {len(p['sites'])} sites ({', '.join(p['sites'])}), which "
            "equals the analysis of all people together, adjusted for "
            f"{len(p['covariates'])} covariates {_HOW[p['adjust']]}. Missing calls were taken at "
            "the mean of their site."
        )


_HOW = {
    "site": "and the sites",
    "none": "(sites not adjusted for)",
    "own": "with slopes of their own in each site",
}


def pool_bundles(
    bundles: Sequence[Bundle | str | Path],
    *,
    traits: Sequence[str] | None = None,
    covariates: Sequence[str] | None = None,
    adjust: str = "site",
    threshold: float | None = None,
) -> PooledScanResult:
    """Return the scan of all sites' people together, from bundles.

    Parameters
    ----------
    bundles : sequence of Bundle, str or Path
        From `make_bundle`, one a site.
    traits, covariates : sequence of str or None
        Any subset of those bundled; None = all that every site has. A trait that some sites lack
        uses the others.
    adjust : {"site", "none", "own"}
        "site": each site has its intercept. "none": one intercept for all. "own": each site has
        its intercept and its slopes of the covariates.
    threshold : float or None
        Keep tests with p <= threshold; None keeps all.

    Returns
    -------
    PooledScanResult

    Raises
    ------
    InputError
        If sites are named twice, builds differ, or a trait or covariate is unknown.
    FormatError
        If a bundle is broken.

    Notes
    -----
    Least squares needs sums of products only, which add up over sites: the result equals that
    of `gwas` on the pooled people (missing calls at the mean of their site) but for rounding.
    Variants are matched by position and alleles, an exchange of REF and ALT is turned; a
    variant that a site lacks or withholds uses the other sites.

    References
    ----------
    Roshchupkin et al. (2016), doi:10.1038/srep36076.
    """
    pool = _Pool.open(bundles, traits, covariates, adjust)
    rows: list[TestRows] = []
    n_tests = np.zeros((len(pool.traits), 640), np.int64)
    for start, parts in pool.blocks():
        found = join_rows(parts, start, len(pool.traits), threshold)
        rows.append(TestRows(found.columns, found.hist[:0]))
        n_tests += found.hist
    frame = to_frame(rows, pool.variants, pool.traits)
    n, df = pool.sizes()
    lead = frame.filter(pl.col("log10p").is_not_nan()).sort("log10p", maintain_order=True)
    best = lead.group_by("phenotype", maintain_order=True).first()
    summary, qq = summarise(
        pool.traits, n_tests, frame, best, n=n, df=df,
        n_variants=pool.variants.height, kept=threshold,
    )  # fmt: skip
    params = {
        "model": "linear", "test": "t", "traits": pool.traits, "covariates": pool.covariates,
        "n_variants": pool.variants.height, "build": pool.build, "threshold": threshold,
        "sites": pool.sites, "adjust": adjust, "loco": False, "screened": False, "out": None,
    }  # fmt: skip
    return PooledScanResult(
        frame, params, pool.n_people, warnings=pool.notes, summary=summary, qq=qq
    )


def omnibus_bundles(
    bundles: Sequence[Bundle | str | Path],
    *,
    traits: Sequence[str] | None = None,
    covariates: Sequence[str] | None = None,
    adjust: str = "site",
) -> OmnibusResult:
    """Return the multivariate test of each variant over several traits, from bundles.

    Parameters
    ----------
    bundles : sequence of Bundle, str or Path
        From `make_bundle`; in each site the traits must have been bundled of the same people.
    traits, covariates : sequence of str or None
        Any subset of those bundled; None = all that every site has.
    adjust : {"site", "none", "own"}
        As for `pool_bundles`.

    Returns
    -------
    OmnibusResult
        As `omnibus` gives it for the pooled people.

    Raises
    ------
    InputError
        As for `pool_bundles`, or if traits were bundled of different people.
    """
    pool = _Pool.open(bundles, traits, covariates, adjust)
    if len(pool.groups) > 1:
        raise InputError(
            "The traits were bundled of different people: bundle with complete_only=True, or name "
            "traits that miss the same people."
        )
    parts = []
    for _, found in pool.blocks():
        part = found[0]
        r_gg, r_gy, r_yy = part["r_gg"], part["r_gy"], part["r_yy"]
        explained = np.empty(len(r_gg))
        ranks = np.empty(len(r_gg))
        for which in np.unique(part["sites_of"]):
            rows = part["sites_of"] == which
            size, vectors = _spectrum(r_yy[which])
            scaled = r_gy[rows] @ vectors / np.sqrt(size)
            explained[rows], ranks[rows] = np.square(scaled).sum(axis=1), len(size)
        df2 = part["df"] + 1.0 - ranks
        usable = np.isfinite(r_gg) & (df2 > 0)
        wilks = np.where(usable, np.maximum(1.0 - explained / r_gg, 0.0), np.nan)
        parts.append(
            (wilks, ranks, np.maximum(df2, 0.0), part["n"], part["freq"], acat_rows(part["log10p"]))
        )
    wilks, df1, df2, n, freq, acat = (np.concatenate(items) for items in zip(*parts, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        f = (1.0 - wilks) / wilks * df2 / df1
    log10p = f_log10p(f, df1, df2)
    columns = {
        "n": n.astype(np.int64), "alt_freq": freq, "wilks": wilks, "f": f, "df1": df1, "df2": df2,
        "log10p": log10p, "p": from_log10p(log10p), "acat_log10p": acat,
        "acat_p": from_log10p(acat),
    }  # fmt: skip
    frame = pool.variants.with_columns(pl.Series(name, item) for name, item in columns.items())
    params = {"traits": pool.traits, "covariates": pool.covariates, "sites": pool.sites}
    return OmnibusResult(frame, params, pool.n_people, warnings=pool.notes)


def _spectrum(matrix: Array) -> tuple[Array, Array]:
    """Return the positive eigenvalues of a scaled matrix, and their vectors unscaled."""
    length = np.sqrt(np.diag(matrix))
    length = np.where(length > 0, length, np.inf)
    size, vectors = np.linalg.eigh(matrix / np.outer(length, length))
    good = size > 1e-9 * max(float(size[-1]), 1e-300)
    return size[good], vectors[:, good] / length[:, None]


@dataclass(frozen=True, eq=False, slots=True)
class _Pool:
    """Bundles that fit together.

    Attributes
    ----------
    bundles : tuple of Bundle
        The sites.
    build, sites, traits, covariates, notes : str or tuple of str
        What they are.
    variants : polars.DataFrame
        Union of the sites' variants, as the first site with each has it.
    place : ndarray of int64 (n_sites, n_variants)
        Row of each variant in each site; -1 = absent.
    turn : ndarray of float64 (n_sites, n_variants)
        -1 where REF and ALT are exchanged.
    groups : tuple of (tuple of int, tuple of int)
        Pattern of each site (-1 = absent) and the traits that have these.
    adjust : str
        See `pool_bundles`.
    """

    bundles: tuple[Bundle, ...]
    build: str
    sites: tuple[str, ...]
    traits: tuple[str, ...]
    covariates: tuple[str, ...]
    notes: tuple[str, ...]
    variants: pl.DataFrame
    place: NDArray[np.int64]
    turn: Array
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    adjust: str

    @classmethod
    def open(
        cls,
        bundles: Sequence[Bundle | str | Path],
        traits: Sequence[str] | None,
        covariates: Sequence[str] | None,
        adjust: str,
    ) -> _Pool:
        """Return bundles of which the traits and covariates are known."""
        require_choice(adjust, tuple(_HOW), what="adjust")
        opened = tuple(b if isinstance(b, Bundle) else read_bundle(b) for b in bundles)
        sites = tuple(item.site for item in opened)
        if not opened or len(set(sites)) < len(sites):
            raise InputError(f"Needed are bundles of different sites; found {shown(sites)}.")
        builds = {item.build for item in opened} - {""}
        if len(builds) > 1:
            raise InputError(f"The sites use different builds: {shown(sorted(builds))}.")
        held = [{t for pattern in item.patterns for t in pattern.traits} for item in opened]
        names = _chosen("trait", traits, held, need_all=False)
        beside = _chosen("covariate", covariates, [set(b.covariates) for b in opened])
        patterns: dict[tuple[int, ...], list[int]] = {}
        for number, name in enumerate(names):
            key = tuple(
                next((at for at, p in enumerate(item.patterns) if name in p.traits), -1)
                for item in opened
            )
            patterns.setdefault(key, []).append(number)
        variants, place, turn = _matched(opened)
        notes = []
        for item in opened:
            count = item.variants.filter(pl.col("withheld") != "").height
            if count:
                notes.append(f"{item.site} withholds {count:,} variants with few carriers.")
        groups = tuple((key, tuple(own)) for key, own in patterns.items())
        build = next(iter(builds), "")
        return cls(
            opened, build, sites, names, beside, tuple(notes), variants, place, turn, groups, adjust
        )

    @property
    def n_people(self) -> int:
        """People of all sites."""
        return sum(int(item.facts["n_people"]) for item in self.bundles)

    def sizes(self) -> tuple[NDArray[np.int64], Array]:
        """Return people and degrees of freedom of each trait where no variant is missing."""
        n, df = np.zeros(len(self.traits), np.int64), np.zeros(len(self.traits))
        for key, own in self.groups:
            sums = self._base(key, own, tuple(at for at, p in enumerate(key) if p >= 0))
            n[list(own)], df[list(own)] = sums["n"], sums["df"]
        return n, df

    def blocks(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield the tests of consecutive blocks of variants, a part for each group of traits."""
        m = self.variants.height
        edges = [*range(0, m, _BLOCK), m]
        with progress("Pooling variants", m) as tick:
            for start, stop in pairwise(edges):
                yield start, [self._tests(key, own, start, stop) for key, own in self.groups]
                tick(stop - start)

    def _columns(self, site: int, pattern: int, own: tuple[int, ...]) -> list[int]:
        """Return the columns of covariates, then traits, in a site's sums."""
        bundle = self.bundles[site]
        first = [bundle.covariates.index(name) for name in self.covariates]
        names = bundle.patterns[pattern].traits
        return first + [len(bundle.covariates) + names.index(self.traits[t]) for t in own]

    def _base(
        self, key: tuple[int, ...], own: tuple[int, ...], sites: tuple[int, ...]
    ) -> dict[str, Any]:
        """Return sums of covariates and traits over some sites."""
        c, size = len(self.covariates), len(self.covariates) + len(own)
        inside, rank, n = np.zeros((size, size)), 0.0, 0
        turned, crosses, means, counts = [], [], [], []
        for site in sites:
            pattern = self.bundles[site].patterns[key[site]]
            at = self._columns(site, key[site], own)
            cross = pattern.cross[np.ix_(at, at)]
            crosses.append(cross[:c])
            if self.adjust == "own":
                eigen, vectors = _spectrum(cross[:c, :c]) if c else (np.empty(0), np.empty((0, 0)))
                half = vectors / np.sqrt(eigen)
                turned.append(half @ half.T if c else np.zeros((0, 0)))
                cross = cross - cross[:, :c] @ turned[-1] @ cross[:c]
                rank += len(eigen) + 1
            inside += cross
            n += pattern.n
            means.append(pattern.mean[at])
            counts.append(float(pattern.n))
        centre = np.average(means, axis=0, weights=counts) if means else np.zeros(size)
        if self.adjust == "none":
            for mean, count in zip(means, counts, strict=True):
                inside += count * np.outer(mean - centre, mean - centre)
        half = np.zeros((c, 0))
        if self.adjust != "own":
            if c:
                eigen, vectors = _spectrum(inside[:c, :c])
                half = vectors / np.sqrt(eigen)
            rank = half.shape[1] + (len(sites) if self.adjust == "site" else 1)
        rest = inside[c:, c:] - inside[c:, :c] @ half @ half.T @ inside[:c, c:]
        return {
            "n": n, "df": n - rank - 1.0, "inside": inside, "half": half, "rest": rest,
            "turned": turned, "crosses": crosses, "centre": centre, "means": means,
            "counts": counts,
        }  # fmt: skip

    def _tests(
        self, key: tuple[int, ...], own: tuple[int, ...], start: int, stop: int
    ) -> dict[str, Any]:
        m, k = stop - start, len(own)
        out: dict[str, Any] = {"trait": np.array(own), "r_yy": []}
        for name in ("n", "freq", "r_gg", "df"):
            out[name] = np.full(m, np.nan)
        for name in ("beta", "se", "t", "log10p", "r_gy"):
            out[name] = np.full((m, k), np.nan)
        out["sites_of"] = np.zeros(m, np.int64)
        tables = [
            self._variant_sums(site, pattern, own, start, stop) if pattern >= 0 else None
            for site, pattern in enumerate(key)
        ]
        there = np.array([np.zeros(m, bool) if t is None else np.isfinite(t[:, 1]) for t in tables])
        codes = (there * (1 << np.arange(len(key)))[:, None]).sum(axis=0)
        for number, code in enumerate(np.unique(codes)):
            rows = np.flatnonzero(codes == code)
            sites = tuple(int(s) for s in np.flatnonzero(there[:, rows[0]]))
            out["sites_of"][rows] = number
            base = self._base(key, own, sites)
            out["r_yy"].append(base["rest"])
            if sites and base["df"] > 0:
                self._fill(out, rows, base, [tables[site][rows] for site in sites])  # type: ignore[index]
        out["n"] = np.nan_to_num(out["n"])
        return out

    def _variant_sums(
        self, site: int, pattern: int, own: tuple[int, ...], start: int, stop: int
    ) -> Array:
        """Return mean, squares and sums of products of variants of the union; NaN = absent."""
        place, turn = self.place[site, start:stop], self.turn[site, start:stop]
        table = self.bundles[site].patterns[pattern].variants
        out = np.full((stop - start, 2 + len(self.covariates) + len(own)), np.nan)
        have = np.flatnonzero(place >= 0)
        columns = [0, 1] + [2 + at for at in self._columns(site, pattern, own)]
        found = table[place[have]][:, columns]
        sign = turn[have][:, None]
        found[:, :1] = np.where(sign < 0, 2.0 - found[:, :1], found[:, :1])
        found[:, 2:] *= sign
        out[have] = found
        return out

    def _fill(
        self, out: dict[str, Any], rows: NDArray[np.int64], base: dict[str, Any], sums: list[Array]
    ) -> None:
        """Put the tests of some variants, which the same sites have, into `out`."""
        c, counts = len(self.covariates), np.array(base["counts"])
        means = np.array([item[:, 0] for item in sums])
        centre = counts @ means / counts.sum()
        if self.adjust == "own":
            gg, gv = np.zeros(len(rows)), np.zeros((len(rows), sums[0].shape[1] - 2))
            for number, item in enumerate(sums):
                gx, turned = item[:, 2 : 2 + c], base["turned"][number]
                gg += item[:, 1] - np.einsum("mi,ij,mj->m", gx, turned, gx)
                gv += item[:, 2:] - gx @ turned @ base["crosses"][number]
        else:
            gg = sum(item[:, 1] for item in sums)
            gv = sum(item[:, 2:] for item in sums)
        total = sum(item[:, 1] for item in sums)
        if self.adjust == "none":
            for number, mean in enumerate(base["means"]):
                away = (means[number] - centre)[:, None]
                gg = gg + counts[number] * np.square(away[:, 0])
                gv = gv + counts[number] * away * (mean - base["centre"])
            total = gg
        side = gv[:, :c] @ base["half"]
        r_gg = gg - np.square(side).sum(axis=1)
        r_gy = gv[:, c:] - side @ base["half"].T @ base["inside"][:c, c:]
        usable = (total > _FLAT) & (r_gg > _FLAT * total)
        r_gg = np.where(usable, r_gg, np.nan)
        r_yy = np.diag(base["rest"])
        whole = np.diag(base["inside"])[c:]
        flat = r_yy <= 1e-20 * whole
        beta = np.where(flat, np.nan, r_gy / r_gg[:, None])
        left = np.maximum(r_yy - r_gy * beta, 0.0)
        se = np.sqrt(left / (base["df"] * r_gg[:, None]))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = beta / se
        out["n"][rows], out["freq"][rows] = base["n"], centre / 2.0
        out["df"][rows], out["r_gg"][rows], out["r_gy"][rows] = base["df"], r_gg, r_gy
        out["beta"][rows], out["se"][rows], out["t"][rows] = beta, se, t
        out["log10p"][rows] = t_log10p(t, np.full(t.shape, base["df"]))


def _chosen(
    what: str, wanted: Sequence[str] | None, held: list[set[str]], *, need_all: bool = True
) -> tuple[str, ...]:
    """Return the names to use; None = those that every site has."""
    common = set.intersection(*held)
    known = common if need_all else set.union(*held)
    if wanted is None:
        names = tuple(sorted(common))
        if not names and not need_all:
            raise InputError("No trait stands in the bundles of all sites: name traits.")
        return names
    for name in wanted:
        if name not in known:
            where = "in every site" if need_all else "in a site"
            raise InputError(f"No {what} {name!r} {where}. {did_you_mean(name, known)}")
    return tuple(wanted)


def _matched(bundles: tuple[Bundle, ...]) -> tuple[pl.DataFrame, NDArray[np.int64], Array]:
    """Return the union of variants, their rows in each site, and where alleles are exchanged."""
    frames = [
        item.variants.with_columns(
            pl.min_horizontal("ref", "alt").alias("first"),
            pl.max_horizontal("ref", "alt").alias("second"),
            pl.lit(number).alias("site"),
        ).with_row_index("row")
        for number, item in enumerate(bundles)
    ]
    for frame, item in zip(frames, bundles, strict=True):
        if frame.select(_KEY).is_duplicated().any():
            raise InputError(f"The bundle of {item.site} holds a variant twice.")
    together = pl.concat(frames)
    union = together.group_by(_KEY, maintain_order=True).agg(pl.col("id", "ref", "alt").first())
    union = union.with_row_index("at")
    joined = together.join(union.select(*_KEY, "at", pl.col("ref").alias("ref_first")), on=_KEY)
    place = np.full((len(bundles), union.height), -1, np.int64)
    turn = np.ones((len(bundles), union.height))
    where = (joined["site"].to_numpy(), joined["at"].to_numpy().astype(np.int64))
    place[where] = joined["row"].to_numpy()
    turn[where] = np.where((joined["ref"] == joined["ref_first"]).to_numpy(), 1.0, -1.0)
    return union.select("chrom", "pos", "id", "ref", "alt"), place, turn
