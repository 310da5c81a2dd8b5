"""Heritability from pedigrees: the polygenic model, with a household effect if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.associate._components import (
    holder_of,
    mixture_log10p,
    profile_limits,
    share_of,
)
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import GwasInput, id_column, prepare
from radgen.errors import FitError, InputError
from radgen.genome.pedigree import pedigree_families
from radgen.stats.variance_components import Blocks, fit_components
from radgen.types import Covariates, FrameLike, PhenotypeTable, Result, to_polars

__all__ = ["FamilyResult", "family_heritability"]

Array = NDArray[np.float64]
Groups = list[tuple[NDArray[np.int64], Array]]
_COLUMNS = {
    "phenotype": pl.String,
    "n": pl.Int64,
    "n_families": pl.Int64,
    "h2": pl.Float64,
    "se": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "p": pl.Float64,
    "log10p": pl.Float64,
    "household": pl.Float64,
    "household_se": pl.Float64,
    "household_p": pl.Float64,
    "genetic": pl.Float64,
    "shared": pl.Float64,
    "residual": pl.Float64,
    "covariate_r2": pl.Float64,
    "log_likelihood": pl.Float64,
    "status": pl.String,
}


@dataclass(frozen=True, eq=False)
class FamilyResult(Result):
    """Heritability of traits in families.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, n, n_families (with at least two members in use), h2 (genetic share of the
        variance beside the covariates), se, ci_low, ci_high (95 %, profile likelihood), p and
        log10p (likelihood ratio against no heritability, half a chi-square), household,
        household_se, household_p (share of a common household; null without one), genetic,
        shared, residual (variances), covariate_r2, log_likelihood, status ("ok", or why
        nothing was estimated).
    """

    kind: ClassVar[str] = "family_heritability"
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "forest" of heritabilities and return the matplotlib Axes.

        Raises
        ------
        InputError
            If this result has no such plot.
        """
        if kind != "forest":
            return super().plot(kind, ax=ax)
        from radgen.plot import forest

        f = self.frame
        limits = f["ci_low"].to_numpy(), f["ci_high"].to_numpy()
        label = "Heritability (95 % interval)"
        return forest(f["phenotype"].to_list(), f["h2"].to_numpy(), *limits, xlabel=label, ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        out = []
        for row in self.frame.iter_rows(named=True):
            if row["status"] != "ok":
                out.append(f"{row['phenotype']}: {row['status']}.")
                continue
            text = (
                f"{row['phenotype']}: heritability {row['h2']:.3f} (95 % interval "
                f"{row['ci_low']:.3f} to {row['ci_high']:.3f}, p = {row['p']:.2g}) in {row['n']} "
                f"people of {row['n_families']} families"
            )
            if row["household"] is not None:
                share = f"{row['household']:.3f} (p = {row['household_p']:.2g})"
                text += f"; share of the household {share}"
            out.append(text + ".")
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        how = "maximum likelihood" if p["method"] == "ml" else "restricted maximum likelihood"
        home = " and a common household" if p["household"] else ""
        return (
            f"Heritability was estimated by {how} in a polygenic model with the kinship of the "
            f"pedigree{home}, adjusted for {len(p['covariates'])} covariates; intervals are of the "
            "profile likelihood, tests likelihood ratios against the edge of the range."
        )


def family_heritability(
    phenotypes: PhenotypeTable | FrameLike,
    pedigree: FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    household: FrameLike | None = None,
    method: Literal["ml", "reml"] = "ml",
    traits: Sequence[str] | None = None,
) -> FamilyResult:
    """Return the share of each trait's variance that goes with kinship in a pedigree.

    Parameters
    ----------
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; missing values leave the sample out of that trait.
    pedigree : data frame
        Columns sample, father, mother and, for identical twins, twin: see
        `radgen.genome.pedigree_kinship`. Relatives without a phenotype connect the others.
    covariates : Covariates, data frame or None
        As for `gwas`.
    household : data frame or None
        An id column and one more: who shares a household. A person without one lives alone.
    method : {"ml", "reml"}
        Maximum likelihood (as SOLAR) or restricted maximum likelihood.
    traits : sequence of str or None
        Which traits; None = all.

    Returns
    -------
    FamilyResult
        A trait that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If an option or a trait is unknown, or the pedigree is inconsistent.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    y = Xb + g + c + e with var g = s_g 2 Phi, var c = s_c H, var e = s_e I; Phi holds kinship
    coefficients, H is 1 for members of a household. h2 = s_g / (s_g + s_c + s_e). Families are
    independent and are fitted as such, so that tens of thousands of people are no burden.
    Ascertained families (through a diseased proband) bias h2: no correction is made.

    References
    ----------
    Almasy & Blangero (1998), doi:10.1086/301844; Self & Liang (1987),
    doi:10.1080/01621459.1987.10478472.
    """
    require_choice(method, ("ml", "reml"), what="method")
    families = list(pedigree_families(pedigree))
    samples = tuple(name for names, _ in families for name in names)
    data = prepare(holder_of(samples), phenotypes, covariates, traits)
    homes = None if household is None else _homes(household, data.genotypes.samples)
    place = {name: row for row, name in enumerate(data.genotypes.samples)}
    groups: Groups = []
    for names, matrix in families:
        own = [at for at, name in enumerate(names) if name in place]
        if own:
            rows = np.array([place[names[at]] for at in own])
            groups.append((rows, matrix[np.ix_(own, own)]))
    rows_out = []
    made: dict[bytes, tuple[list[_Design], int]] = {}
    for name, y in zip(data.names, data.values.T, strict=True):
        row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"phenotype": name}
        row["n"] = int(np.isfinite(y).sum())
        try:
            row |= _fit(data, y, groups, homes, (method == "reml", made))
        except (FitError, InputError) as error:
            row["status"] = str(error).rstrip(".")
        rows_out.append(row)
    params = {
        "method": method,
        "traits": data.names,
        "covariates": data.covariate_names,
        "household": household is not None,
    }
    frame = pl.DataFrame(rows_out, schema=_COLUMNS)
    notes = list(data.notes)
    bad = frame.filter(pl.col("status") != "ok").height
    if bad:
        notes.append(f"{bad} traits could not be fitted; see their status.")
    return FamilyResult(frame, params, len(place), data.dropped, tuple(notes))


def _homes(household: FrameLike, samples: Sequence[str]) -> list[str | None]:
    frame = to_polars(household, what="household table")
    key = id_column(frame, what="household table")
    others = [name for name in frame.columns if name != key]
    if len(others) != 1:
        raise InputError(f"The household table has {len(others)} columns beside the id; needs one.")
    pair = frame.select(pl.col(key).cast(pl.String), pl.col(others[0]).cast(pl.String))
    if pair[key].is_duplicated().any():
        raise InputError("Somebody stands twice in the household table.")
    known = dict(pair.iter_rows())
    return [known.get(name) for name in samples]


def _fit(
    data: GwasInput,
    y: Array,
    groups: Groups,
    homes: list[str | None] | None,
    how: tuple[bool, dict[bytes, tuple[list[_Design], int]]],
) -> dict[str, Any]:
    restricted, made = how
    seen = np.isfinite(y)
    key = seen.tobytes()
    x = np.zeros((len(y), 0))
    if key not in made:
        local = basis(data.covariates[seen])
        x = np.zeros((len(y), local.shape[1]))
        x[seen] = local
        some = [(rows[seen[rows]], k[np.ix_(seen[rows], seen[rows])]) for rows, k in groups]
        some = [(rows, k) for rows, k in some if len(rows)]
        n_families = sum(len(rows) > 1 for rows, _ in some)
        made[key] = (_with_homes(some, homes, x) if homes else _rotated(some, x)), n_families
    design, n_families = made[key]
    if not n_families:
        raise InputError("no two relatives have this trait")
    blocks = [_set(part, y) for part in design]
    n_components = len(blocks[0].k)
    bounded = [True] * n_components
    fit = fit_components(blocks, bounded=bounded, restricted=restricted)
    shares = share_of(fit)

    def without(which: int) -> float:
        held = [number == which for number in range(n_components)]
        other = fit_components(blocks, bounded=bounded, restricted=restricted, held=held)
        return mixture_log10p(2.0 * (fit.log_likelihood - other.log_likelihood))

    log10p = without(0)
    low, high = profile_limits(blocks, 0, fit, restricted=restricted)
    explained = 1.0 - float(fit.theta.sum()) / float(np.var(y[seen], ddof=1))
    out: dict[str, Any] = {
        "n_families": n_families,
        "h2": shares.value[0],
        "se": shares.se[0],
        "ci_low": low,
        "ci_high": high,
        "p": 10.0**log10p,
        "log10p": log10p,
        "genetic": fit.theta[0],
        "residual": fit.theta[-1],
        "covariate_r2": max(explained, 0.0),
        "log_likelihood": fit.log_likelihood,
        "status": "ok",
    }
    if n_components == 3:
        out |= {"household": shares.value[1], "household_se": shares.se[1]}
        out |= {"household_p": 10.0 ** without(1), "shared": fit.theta[1]}
    return out


@dataclass(frozen=True, eq=False, slots=True)
class _Design(Blocks):
    """Blocks without a trait; `rows` (n_blocks, size) bring one in, or rotate each family's."""

    rows: NDArray[np.int64]
    families: tuple[tuple[NDArray[np.int64], Array], ...]


def _set(part: _Design, y: Array) -> Blocks:
    if not part.families:
        return Blocks(y[part.rows], part.x, part.k)
    return Blocks(_turned(part.families, y[:, None]), part.x, part.k)


def _turned(families: Sequence[tuple[NDArray[np.int64], Array]], columns: Array) -> Array:
    return np.concatenate([vectors.T @ columns[rows] for rows, vectors in families])


def _rotated(groups: Groups, x: Array) -> list[_Design]:
    """Return every eigenvector of every family as a block of its own."""
    families, values = [], []
    for rows, k in groups:
        d, vectors = np.linalg.eigh(k)
        values.append(np.maximum(d, 0.0))
        families.append((rows, vectors))
    d = np.concatenate(values)
    k = np.stack([d, np.ones(len(d))])[:, :, None, None]
    none = np.empty(0, np.int64)
    turned = _turned(families, x)[:, None, :]
    return [_Design(np.empty((len(d), 1)), turned, k, none, tuple(families))]


def _with_homes(groups: Groups, homes: list[str | None], x: Array) -> list[_Design]:
    """Return blocks of families that share no household with another block, by size."""
    from scipy.linalg import block_diag
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    marks: dict[str, int] = {}
    family, home = [], []
    for number, (rows, _) in enumerate(groups):
        for row in rows:
            mark = homes[row]
            if mark:
                family.append(number)
                home.append(marks.setdefault(mark, len(marks)))
    size = len(groups) + len(marks)
    ends = np.array(family, np.int64), np.array(home, np.int64) + len(groups)
    graph = coo_array((np.ones(len(family), np.int8), ends), shape=(size, size))
    label = connected_components(graph, directed=False)[1][: len(groups)]
    by_size: dict[int, list[tuple[NDArray[np.int64], Array, Array]]] = {}
    for number in np.unique(label):
        members = [groups[at] for at in np.flatnonzero(label == number)]
        rows = np.concatenate([rows for rows, _ in members])
        k = block_diag(*(matrix for _, matrix in members))
        own = np.array([marks.get(homes[row] or "", -1 - row) for row in rows])
        by_size.setdefault(len(rows), []).append((rows, k, (own[:, None] == own).astype(float)))
    out = []
    for width, parts in by_size.items():
        rows = np.stack([part[0] for part in parts])
        eye = np.broadcast_to(np.eye(width), (len(parts), width, width))
        k = np.stack([np.stack([p[1] for p in parts]), np.stack([p[2] for p in parts]), eye])
        out.append(_Design(np.empty(rows.shape), x[rows], k, rows, ()))
    return out
