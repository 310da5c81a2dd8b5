"""Lesion-symptom and lesion-gene maps: where does a mutation, or a value, meet the lesions?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean, require_choice
from radgen._core.threads import n_threads
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import to_covariates
from radgen.associate.genomewide._logistic import binary
from radgen.associate.maps._inference import MapRules, orders_of, permute_maps
from radgen.associate.maps._input import VoxelInput, prepare_images
from radgen.associate.maps._points import PointMap, place_of, write_points
from radgen.associate.maps.voxelwise import point_columns, space_facts
from radgen.errors import InputError
from radgen.stats.lesions import brunner_munzel_columns, fisher_table
from radgen.stats.omnibus import normal_scores
from radgen.stats.tail import from_log10p, log10p_to_z, normal_log10p, t_log10p
from radgen.types import (
    Covariates,
    FrameLike,
    ImageStack,
)

__all__ = ["LesionMapResult", "map_lesions"]

Array = NDArray[np.float64]
_MAPS = (
    "frequency",
    "freq_exposed",
    "freq_others",
    "effect",
    "z_score",
    "log10p",
    "p_voxel",
    "p_tfce",
)
_Statistic = Callable[[list[NDArray[np.int64]]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class LesionMapResult(PointMap):
    """A map of where lesions go with an outcome.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a point: point, x, y, z (RAS millimetres), n_lesions, frequency, freq_exposed,
        freq_others (of a binary outcome), effect (log odds ratio, or probability of a larger
        value), ci_low, ci_high, z_score, log10p, p, p_voxel (adjusted over the points), tfce,
        p_tfce, cluster. Points with too few lesions have frequencies alone.
    clusters : polars.DataFrame
        cluster, sign, n_points, extent, p_extent, p_mass; the largest mass first.
    space : mapping
        The grid or surface, as plain values.
    """

    kind: ClassVar[str] = "lesion_map"
    shown: ClassVar[str] = "z_score"
    signed: ClassVar[tuple[str, ...]] = ("z_score", "effect", "tfce")

    clusters: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def heading(self) -> str:
        """Title of the picture."""
        return str(self.params["outcome"])

    def write_maps(self, folder: str | Path) -> list[Path]:
        """Write the maps as NIfTI or GIFTI into a folder, and return the files."""
        maps = (
            (name, self.frame[name].to_numpy().astype(np.float64), float(name.startswith("p_")))
            for name in _MAPS
        )
        return write_points(folder, place_of(self.space, self.frame["point"].to_numpy()), maps)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        p = self.params
        tested = self.frame.filter(pl.col("z_score").is_not_nan())
        words = [
            f"Lesions of {self.n_used} people were mapped against {p['outcome']}; "
            f"{tested.height:,} of {self.frame.height:,} points have at least {p['min_lesions']} "
            "people with and without a lesion."
        ]
        if not tested.height:
            return (*words, "No point could be tested.")
        row = tested.row(int(tested["z_score"].abs().arg_max()), named=True)  # type: ignore[arg-type]
        words.append(
            f"Strongest at ({row['x']:.0f}, {row['y']:.0f}, {row['z']:.0f}) mm: z = "
            f"{row['z_score']:.2f}, p = {row['p']:.2g}"
            + (f", adjusted p = {row['p_voxel']:.2g}." if p["n_permutations"] else ".")
        )
        if p["n_permutations"]:
            held = int((tested["p_voxel"] <= 0.05).sum())
            words.append(f"{held:,} points hold at a family-wise level of 5 %.")
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        how = {
            "fisher": "Fisher's exact test",
            "logistic": "the score test of logistic regression "
            f"({len(p['covariates'])} covariates)",
            "brunner_munzel": "the Brunner-Munzel test",
        }[p["test"]]
        text = (
            f"At each point where at least {p['min_lesions']} people had a lesion and as many had "
            f"none, {p['outcome']} was compared between them by {how}."
        )
        if p["n_permutations"]:
            text += (
                f" P-values were adjusted by the largest statistic over the points in "
                f"{p['n_permutations']:,} permutations of the outcome (seed {p['seed']})."
            )
        return text


def map_lesions(
    lesions: ImageStack,
    outcome: Covariates | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    seed: int,
    trait: str | None = None,
    test: Literal["fisher", "logistic", "brunner_munzel"] = "fisher",
    min_lesions: int = 5,
    n_permutations: int = 1_000,
    tfce: bool = True,
    cluster_p: float | None = 0.01,
    connectivity: int = 26,
    strata: Sequence[object] | None = None,
    jobs: int | None = None,
) -> LesionMapResult:
    """Return where lesions are more frequent with a mutation, or go with a larger value.

    Parameters
    ----------
    lesions : ImageStack
        Masks of all people on one grid (0 = no lesion), from `radgen.io.read_stack`.
    outcome : Covariates or data frame
        One row a sample: a mutation (0/1, or text with two levels) or, for "brunner_munzel", any
        number (age, expression, survival).
    covariates : Covariates, data frame or None
        For "logistic" alone.
    seed : int
        Of the permutations.
    trait : str or None
        Which column of `outcome`; None = its only one.
    test : {"fisher", "logistic", "brunner_munzel"}
        Fisher's exact test of mutation by lesion; logistic regression of the mutation on the
        lesion and covariates (score test); ranks of a value with and without a lesion.
    min_lesions : int, default 5
        Fewest people with, and without, a lesion for a point to be tested.
    n_permutations : int, default 1,000
        0 = none.
    tfce : bool, default True
        Threshold-free cluster enhancement of the signed z map.
    cluster_p : float or None, default 0.01
        p that forms clusters; None = no clusters.
    connectivity : {6, 18, 26}
        Voxels that touch.
    strata : sequence of n_samples labels or None
        In the order of `outcome`; people change places within a stratum only.
    jobs : int or None
        Threads.

    Returns
    -------
    LesionMapResult

    Raises
    ------
    InputError
        If the trait does not fit the test, a mask has missing values, or an option is unknown.
    AlignmentError
        If too few samples are common.
    FitError
        If the covariates separate the classes.

    Notes
    -----
    All tests are turned into signed normal deviates z, positive where lesions go with the
    mutation or the larger value. For Fisher's test and ranks people are exchanged freely, which
    is exact; for the logistic score the Pearson residuals of the mutation on the covariates are.

    References
    ----------
    Ellingson et al. (2013), AJNR 34, 533-540 (voxel-wise Fisher tests of tumour
    location); Rorden et al. (2007), doi:10.1162/jocn.2007.19.7.1081.
    """
    require_choice(test, ("fisher", "logistic", "brunner_munzel"), what="test")
    if min_lesions < 2:
        raise InputError(f"min_lesions is {min_lesions}; needed is at least 2.")
    if covariates is not None and test != "logistic":
        raise InputError("Covariates go with test='logistic'; the other tests know none.")
    data, y, name = _matched(lesions, outcome, covariates, trait, test)
    mask = _masks(data)
    count = mask.sum(axis=0)
    tested = (count >= min_lesions) & (data.n_samples - count >= min_lesions)
    if strata is not None:
        of = dict(zip(to_covariates(outcome).samples, strata, strict=True))
        strata = [of[sample] for sample in data.samples]
    orders, n_orders, exact = orders_of(strata, data.n_samples, n_permutations, seed)
    maps, log10p, effect, se = _STATISTICS[test](mask[:, tested], y, data.covariates)
    observed = np.full((1, data.images.n_points), np.nan, np.float32)
    observed[0, tested] = maps([np.arange(data.n_samples)])[0]

    def statistics(some: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        out = np.full((len(some), 1, data.images.n_points), np.nan, np.float32)
        out[:, 0, tested] = maps(some)
        return out

    space = data.images.space
    near = None if getattr(space, "faces", True) is None else space.neighbours(connectivity)
    cut = None if cluster_p is None or near is None else float(log10p_to_z(np.log10(cluster_p)))
    rules = MapRules(near, space.extent, cut, tfce and near is not None, (0.5, 2.0), True)
    found = permute_maps(
        observed, statistics, orders, n_orders, rules, together=False, jobs=n_threads(jobs)
    )[0]

    def spread(values: Array) -> Array:
        out = np.full(data.images.n_points, np.nan)
        out[tested] = values
        return out

    whole_log10p = spread(log10p)
    half = 1.959963984540054 * spread(se)
    columns: dict[str, Any] = {
        "n_lesions": count.astype(np.int64),
        "frequency": count / data.n_samples,
        "freq_exposed": mask[y == 1].mean(axis=0) if test != "brunner_munzel" else np.nan,
        "freq_others": mask[y == 0].mean(axis=0) if test != "brunner_munzel" else np.nan,
        "effect": spread(effect),
        "ci_low": spread(effect) - half,
        "ci_high": spread(effect) + half,
        "z_score": observed[0].astype(np.float64),
        "log10p": whole_log10p,
        "p": from_log10p(whole_log10p),
        "p_voxel": np.where(tested, found.p_point, np.nan),
        "tfce": found.tfce,
        "p_tfce": np.where(tested, found.p_tfce, np.nan),
        "cluster": 0 if found.clusters is None else found.clusters.label,
    }
    places = point_columns(space, np.arange(data.images.n_points))
    frame = pl.DataFrame(places).with_columns(
        pl.lit(item).alias(key) if np.isscalar(item) else pl.Series(key, item)
        for key, item in columns.items()
    )
    params = {
        "outcome": name, "test": test, "covariates": data.covariate_names,
        "min_lesions": min_lesions, "n_permutations": n_orders, "exact": exact, "seed": seed,
        "cluster_p": cluster_p, "tfce": rules.enhance,
    }  # fmt: skip
    return LesionMapResult(
        frame, params, data.n_samples, data.dropped, data.notes, clusters=_clusters(found),
        space=space_facts(space),
    )  # fmt: skip


def _matched(
    lesions: ImageStack,
    outcome: Covariates | FrameLike,
    covariates: Covariates | FrameLike | None,
    trait: str | None,
    test: str,
) -> tuple[VoxelInput, Array, str]:
    table = to_covariates(outcome)
    if trait is None and len(table.names) != 1:
        raise InputError(
            f"The outcome table has {len(table.names)} columns: name one as trait "
            f"({', '.join(table.names[:5])})."
        )
    name = trait or table.names[0]
    if name not in table.names:
        raise InputError(f"No column {name!r}. {did_you_mean(name, table.names)}")
    values = table.values[:, [table.names.index(name)]]
    one = Covariates(table.samples, (name,), values)
    data = prepare_images(lesions, one, covariates)
    assert data.predictors.values is not None
    y = data.predictors.values[0]
    return data, y if test == "brunner_munzel" else binary(name, y), name


def _masks(data: VoxelInput) -> NDArray[np.bool_]:
    values = data.images.values[data.rows]
    if np.isnan(values).any():
        raise InputError(
            "Lesion masks have missing values: a voxel is inside (not 0) or outside (0)."
        )
    return np.asarray(values != 0)


_Prepared = tuple[_Statistic, Array, Array, Array]


def _fisher(mask: NDArray[np.bool_], y: Array, _: Array) -> _Prepared:
    n, exposed = len(y), int(y.sum())
    count = mask.sum(axis=0)
    totals, row = np.unique(count, return_inverse=True)
    table = fisher_table(n, exposed, totals)
    with np.errstate(invalid="ignore"):
        size = log10p_to_z(table)
    expected = totals[:, None] * exposed / n
    signed = (np.sign(np.arange(exposed + 1) - expected) * size).astype(np.float32)
    single = mask.astype(np.float32)

    def maps(orders: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        x = np.stack([y[order] for order in orders]).astype(np.float32)
        both = np.rint(x @ single).astype(np.int64)
        return signed[row, both]

    both = np.rint(y @ mask).astype(np.int64)
    cells = np.stack([both, exposed - both, count - both, n - exposed - count + both]).astype(float)
    cells += np.where((cells == 0).any(axis=0), 0.5, 0.0)
    effect = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    return maps, table[row, both], effect, np.sqrt((1 / cells).sum(axis=0))


def _logistic(mask: NDArray[np.bool_], y: Array, x: Array) -> _Prepared:
    from radgen.stats.logistic_scan import fit_null

    q = basis(x)
    null = fit_null(y, q)
    weight = null.mu * (1 - null.mu)
    root = np.sqrt(weight)
    # lesions beside the covariates, in the metric of the weights
    side = mask * root[:, None]
    turned, _ = np.linalg.qr(q * root[:, None])
    side -= turned @ (turned.T @ side)
    information = np.einsum("nv,nv->v", side, side)
    scaled = (side / np.sqrt(np.maximum(information, 1e-12))).astype(np.float32)
    pearson = (y - null.mu) / root
    score = pearson @ side

    def maps(orders: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        return np.stack([pearson[order] for order in orders]).astype(np.float32) @ scaled

    z = score / np.sqrt(information)
    return maps, normal_log10p(z), score / information, 1 / np.sqrt(information)


def _ranks(mask: NDArray[np.bool_], y: Array, _: Array) -> _Prepared:
    def maps(orders: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        out = np.empty((len(orders), mask.shape[1]), np.float32)
        for at, order in enumerate(orders):
            found = brunner_munzel_columns(y[order], mask)
            ratio = np.square(found.t) / found.df
            out[at] = np.sign(found.t) * np.abs(
                normal_scores(np.sqrt(ratio / (1 + ratio)), found.df)
            )
        return out

    found = brunner_munzel_columns(y, mask)
    se = np.abs((found.effect - 0.5) / np.where(found.t == 0, np.nan, found.t))
    return maps, t_log10p(found.t, found.df), found.effect, se


_STATISTICS: dict[str, Callable[[NDArray[np.bool_], Array, Array], _Prepared]] = {
    "fisher": _fisher,
    "logistic": _logistic,
    "brunner_munzel": _ranks,
}


def _clusters(found: Any) -> pl.DataFrame:
    if found.clusters is None:
        return pl.DataFrame()
    c = found.clusters
    size = np.bincount(c.label, minlength=len(c.sign) + 1)[1:]
    frame = pl.DataFrame(
        {
            "cluster": np.arange(1, len(c.sign) + 1),
            "sign": c.sign,
            "n_points": size.astype(np.int64),
            "extent": c.extent,
            "mass": c.mass,
            "p_extent": found.p_extent,
            "p_mass": found.p_mass,
        }
    )
    return frame.sort("mass", descending=True)
