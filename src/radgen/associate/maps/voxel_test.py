"""Maps of chosen predictors with permutation inference over points, clusters and TFCE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.naming import did_you_mean
from radgen._core.threads import n_threads
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import to_covariates
from radgen.associate.genomewide._many import unit_dosages
from radgen.associate.maps._inference import Inference, MapRules, orders_of, permute_maps
from radgen.associate.maps._input import Predictors, VoxelInput, prepare_images
from radgen.associate.maps._points import place_of, write_points
from radgen.associate.maps._scan import exact_pairs
from radgen.associate.maps.voxelwise import point_columns, space_facts
from radgen.errors import InputError
from radgen.stats.tail import from_log10p, t_quantile
from radgen.types import (
    Covariates,
    FrameLike,
    GenotypeMatrix,
    ImageStack,
    Result,
    SurfaceSpace,
    VoxelSpace,
)

__all__ = ["VoxelTestResult", "voxel_test"]

Array = NDArray[np.float64]
_MAPS = ("beta", "se", "t", "log10p", "p_voxel", "tfce", "p_tfce", "cluster")


@dataclass(frozen=True, eq=False)
class VoxelTestResult(Result):
    """Maps of predictors.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a predictor and point: id, point, x, y, z (RAS millimetres), n, beta, se, t,
        log10p, p (of the single point), p_voxel (adjusted over the points), tfce, p_tfce,
        cluster (0 = in none).
    clusters : polars.DataFrame
        id, cluster, sign, n_points, extent (mm3 or mm2), mass, p_extent, p_mass, peak_t,
        point, x, y, z of the peak; the largest mass first.
    space : mapping
        The grid or surface, as plain values.
    """

    kind: ClassVar[str] = "voxel_test"
    plots: ClassVar[tuple[str, ...]] = ("map",)

    clusters: pl.DataFrame = field(default_factory=pl.DataFrame)
    space: dict[str, Any] = field(default_factory=dict)

    def map(self, predictor: str, what: str = "t") -> NDArray[np.float64]:
        """Return one map (n_points,), in the order of the points.

        Raises
        ------
        InputError
            If the predictor or the map is unknown.
        """
        names = self.params["predictors"]
        if predictor not in names:
            raise InputError(f"No predictor {predictor!r}. {did_you_mean(predictor, names)}")
        if what not in _MAPS:
            raise InputError(f"No map {what!r}. {did_you_mean(what, _MAPS)}")
        return self.frame.filter(pl.col("id") == predictor)[what].to_numpy().astype(np.float64)

    def places(self) -> VoxelSpace | SurfaceSpace:
        """Return where the points lie (without the mesh of a surface)."""
        first = self.frame.filter(pl.col("id") == self.params["predictors"][0])
        return place_of(self.space, first["point"].to_numpy())

    def write_maps(self, folder: str | Path) -> list[Path]:
        """Write the maps of all predictors as NIfTI or GIFTI, and return the files.

        Parameters
        ----------
        folder : str or Path
            Made where it is missing; files are named ``ID_beta.nii.gz`` and so on. Points that
            are not in use hold 0 (p-values 1).
        """
        maps = (
            (f"{name}_{what}", self.map(name, what), float(what.startswith("p_")))
            for name in self.params["predictors"]
            for what in _MAPS
        )
        return write_points(folder, self.places(), maps)

    def plot(
        self, kind: str, *, ax: Any = None, predictor: str | None = None, what: str = "t",
        **options: Any,
    ) -> Any:  # fmt: skip
        """Draw the map of a predictor over anatomy and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "map".
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        predictor : str or None
            Which; None = the first.
        what : str
            beta, se, t, log10p, tfce, p_voxel, p_tfce.
        **options : object
            background (ImageVolume on the same grid), plane, n_slices, threshold, limit; surface
            and views for surface data.

        Raises
        ------
        InputError
            If this result has no such plot, predictor or map.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.genomewide import plot

        name = predictor or self.params["predictors"][0]
        self.map(name, what)  # says what is unknown
        frame = self.frame.filter(pl.col("id") == name)
        return plot.draw_map(
            frame, self.space, what, title=name, label=what, ax=ax, options=options,
            signed=what in ("beta", "t", "tfce"),
        )  # fmt: skip

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        p = self.params
        kind = "vertices" if self.space["kind"] == "surface" else "voxels"
        over = f"{p['n_points']:,} {kind}" + (" and all predictors" if p["together"] else "")
        words = [f"{len(p['predictors'])} predictors were mapped in {self.n_used:,} people."]
        for (name,), part in self.frame.group_by("id", maintain_order=True):
            t = part["t"].fill_nan(None)
            if t.null_count() == len(t):
                words.append(f"{name}: no point could be tested (it does not vary).")
                continue
            row = part.row(int(t.abs().arg_max()), named=True)  # type: ignore[arg-type]
            text = (
                f"{name}: largest |t| {abs(row['t']):.2f} at ({row['x']:.0f}, {row['y']:.0f}, "
                f"{row['z']:.0f}) mm"
            )
            if p["n_permutations"]:
                held = int((part["p_voxel"] <= 0.05).sum())
                text += (
                    f", adjusted p = {row['p_voxel']:.2g}; {held:,} {kind} hold at 5 % over {over}"
                )
                if p["tfce"]:
                    text += f", {int((part['p_tfce'] <= 0.05).sum()):,} by TFCE"
            words.append(text + ".")
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        text = (
            "Each point was regressed on each predictor by ordinary least squares, adjusted for "
            f"{len(p['covariates'])} covariates."
        )
        if not p["n_permutations"]:
            return text
        how = "all" if p["exact"] else "random"
        text += (
            f" The residual predictor was permuted ({p['n_permutations']:,} {how} permutations, "
            f"Freedman-Lane, seed {p['seed']}) and p-values adjusted by the largest "
            f"{'absolute ' if p['two_sided'] else ''}t over the points"
        )
        if p["tfce"]:
            e, h = p["powers"]
            text += f", and by threshold-free cluster enhancement (E = {e:g}, H = {h:g}, exact)"
        if p["cluster_p"] is not None:
            text += f", and by extent and mass of clusters formed at p < {p['cluster_p']:g}"
        return text + "."


def voxel_test(
    images: ImageStack,
    predictors: GenotypeMatrix | Covariates | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    seed: int,
    names: Sequence[str] | None = None,
    n_permutations: int = 1_000,
    tfce: bool = True,
    cluster_p: float | None = 0.001,
    two_sided: bool = True,
    connectivity: int = 26,
    powers: tuple[float, float] | None = None,
    strata: Sequence[object] | None = None,
    together: bool = False,
    jobs: int | None = None,
) -> VoxelTestResult:
    """Return the maps of some predictors, with p-values adjusted by permutation.

    Parameters
    ----------
    images : ImageStack
        From `radgen.io.read_stack`.
    predictors : GenotypeMatrix, Covariates or data frame
        As for `voxelwise`.
    covariates : Covariates, data frame or None
        As for `voxelwise`.
    seed : int
        Permutation i does not depend on the number of predictors.
    names : sequence of str or None
        Ids of the predictors to map; None = all of them (at most 50).
    n_permutations : int, default 1,000
        0 = maps only. Where all distinct permutations are no more, they are enumerated.
    tfce : bool, default True
        Threshold-free cluster enhancement.
    cluster_p : float or None, default 0.001
        p of a single point that forms clusters; None = no clusters.
    two_sided : bool, default True
        Whether negative effects count.
    connectivity : {6, 18, 26}
        Voxels that touch.
    powers : (float, float) or None
        Extent and height power of TFCE; None = 0.5 and 2 for voxels, 1 and 2 for vertices.
    strata : sequence of n_samples labels or None
        In the order of the predictors' samples; people change places within a stratum only.
    together : bool, default False
        Adjust over all predictors, too.
    jobs : int or None
        Threads; None = the processors at hand.

    Returns
    -------
    VoxelTestResult

    Raises
    ------
    InputError
        If a name or an option is unknown, more than 50 predictors are asked for, or clusters
        are asked for on a surface without its mesh.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    The residuals of the predictor on the covariates are permuted and taken beside the
    covariates again, which is Freedman & Lane's scheme with the predictor in the place of the
    response; the smoothness of the images is kept. Missing calls and points count as residual
    0 in the permuted statistic, in the data and in every permutation. TFCE is the exact
    integral (`radgen.stats.maps.tfce`), with extents in units of the mean point.

    References
    ----------
    Winkler et al. (2014), doi:10.1016/j.neuroimage.2014.01.060; Smith & Nichols (2009),
    doi:10.1016/j.neuroimage.2008.03.061; Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.
    """
    if cluster_p is not None and not 0 < cluster_p < 0.5:
        raise InputError(f"cluster_p is {cluster_p}; needed is a p in (0, 0.5).")
    data = _chosen(prepare_images(images, predictors, covariates), names)
    given = predictors.samples if isinstance(predictors, GenotypeMatrix) else None
    space, workers = images.space, n_threads(jobs)
    on_surface = isinstance(space, SurfaceSpace)
    powers = powers or ((1.0, 2.0) if on_surface else (0.5, 2.0))
    if strata is not None:
        strata = _strata(strata, given, predictors, data)
    orders, count, exact = orders_of(strata, data.n_samples, n_permutations, seed)
    blank = on_surface and space.faces is None
    wanted = (tfce or cluster_p is not None) and n_permutations > 0
    if blank and wanted:
        space.neighbours()  # says what is missing
    y, df = _residual_images(data)
    block = data.predictors.source(0, data.predictors.n).centred(np.float64)
    q = basis(data.covariates)
    x, varies = unit_dosages(block.g, q)
    middle = float(np.nanmedian(df)) if np.isfinite(df).any() else 1.0
    rules = MapRules(
        None if blank else space.neighbours(connectivity),
        space.extent,
        None if cluster_p is None else _threshold(cluster_p, middle, two_sided=two_sided),
        tfce and not blank,
        powers,
        two_sided,
    )

    def statistics(some: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        moved = np.concatenate([x[:, order] for order in some])
        moved, _ = unit_dosages(moved - moved.mean(axis=1, keepdims=True), q)
        return _t(moved.astype(np.float32) @ y, df).reshape(len(some), len(x), -1)

    observed = _t(x.astype(np.float32) @ y, df)
    observed[~varies] = np.nan
    found = permute_maps(
        observed, statistics, orders, count, rules, together=together, jobs=workers
    )
    params = {
        "predictors": tuple(data.predictors.frame["id"].to_list()),
        "covariates": data.covariate_names,
        "n_points": images.n_points,
        "n_permutations": count,
        "exact": exact,
        "seed": seed,
        "tfce": rules.enhance,
        "cluster_p": cluster_p if rules.neighbours is not None else None,
        "two_sided": two_sided,
        "powers": powers,
        "connectivity": connectivity,
        "together": together,
        "strata": strata is not None,
    }
    frame = _frame(data, found, jobs=workers)
    return VoxelTestResult(
        frame, params, data.n_samples, data.dropped, data.notes,
        clusters=_cluster_table(data, found, observed), space=space_facts(space),
    )  # fmt: skip


def _chosen(data: VoxelInput, names: Sequence[str] | None) -> VoxelInput:
    """Return the input with some of the predictors."""
    known = data.predictors.frame["id"].to_list()
    if names is None:
        names = known
    place = {name: at for at, name in enumerate(known)}
    unknown = [name for name in names if name not in place]
    if unknown:
        raise InputError(f"No predictor {unknown[0]!r}. {did_you_mean(unknown[0], known)}")
    if not 1 <= len(names) <= 50:
        raise InputError(
            f"{len(names)} predictors are asked for; maps are made of 1 to 50: scan all of them "
            "with voxelwise first, then name the interesting ones."
        )
    rows = [place[name] for name in names]
    old = data.predictors
    genotypes = None if old.genotypes is None else old.genotypes.take_variants(rows)
    values = None if old.values is None else old.values[rows]
    chosen = Predictors(old.frame[rows], genotypes, values)
    return VoxelInput(
        chosen, data.images, data.rows, data.covariates, data.covariate_names, data.samples,
        data.dropped, data.notes,
    )  # fmt: skip


def _strata(
    strata: Sequence[object], given: Sequence[str] | None, predictors: Any, data: VoxelInput
) -> list[object]:
    samples = given or to_covariates(predictors).samples
    if len(strata) != len(samples):
        raise InputError(f"There are {len(strata)} strata labels for {len(samples)} samples.")
    of = dict(zip(samples, strata, strict=True))
    return [of[name] for name in data.samples]


def _residual_images(data: VoxelInput) -> tuple[NDArray[np.float32], Array]:
    """Return unit residuals of all points (n_samples, n_points), and their df (NaN = flat)."""
    n_points = data.images.n_points
    y = np.zeros((data.n_samples, n_points), np.float32)
    df = np.full(n_points, np.nan)
    for low, high in block_ranges(n_points, 4096):
        for group in data.groups(low, high):
            at = low + group.traits
            y[:, at] = group.y
            free = group.n_samples - group.rank - 1.0
            df[at] = np.where((group.norm > 0) & (free > 0), free, np.nan)
    return y, df


def _t(r: NDArray[np.float32], df: Array) -> NDArray[np.float32]:
    square = np.minimum(r * r, np.float32(1 - 1e-7))
    return np.asarray(r * np.sqrt(df.astype(np.float32) / (1 - square)), np.float32)


def _threshold(p: float, df: float, *, two_sided: bool) -> float:
    return float(-t_quantile(p / 2 if two_sided else p, df))


def _frame(data: VoxelInput, found: list[Inference], *, jobs: int) -> pl.DataFrame:
    n_points = data.images.n_points
    pairs = np.array([(row, at) for row in range(len(found)) for at in range(n_points)])
    tests = exact_pairs(data, pairs, block=max(len(found), 1), jobs=jobs)
    label = [
        np.zeros(n_points, np.int32) if item.clusters is None else item.clusters.label
        for item in found
    ]
    columns: dict[str, Any] = {
        "n": np.nan_to_num(tests["n"]).astype(np.int32),
        **{name: tests[name] for name in ("beta", "se", "t", "log10p")},
        "p": from_log10p(tests["log10p"]),
        "p_voxel": np.concatenate([item.p_point for item in found]),
        "tfce": np.concatenate([item.tfce for item in found]),
        "p_tfce": np.concatenate([item.p_tfce for item in found]),
        "cluster": np.concatenate(label),
    }
    where = pl.DataFrame(point_columns(data.images.space, np.arange(n_points)))
    frame = data.predictors.frame.select("id")[pl.Series(pairs[:, 0])]
    frame = frame.hstack(pl.concat([where] * len(found)))
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def _cluster_table(
    data: VoxelInput, found: list[Inference], observed: NDArray[np.float32]
) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    peaks = []
    for name, item, map_ in zip(data.predictors.frame["id"], found, observed, strict=True):
        if item.clusters is None:
            continue
        label = item.clusters.label
        for at in np.argsort(-item.clusters.mass, kind="stable"):
            inside = np.flatnonzero(label == at + 1)
            peak = int(inside[np.abs(map_[inside]).argmax()])
            peaks.append(peak)
            rows.append(
                {
                    "id": name,
                    "cluster": int(at + 1),
                    "sign": int(item.clusters.sign[at]),
                    "n_points": len(inside),
                    "extent": float(item.clusters.extent[at]),
                    "mass": float(item.clusters.mass[at]),
                    "p_extent": float(item.p_extent[at]),
                    "p_mass": float(item.p_mass[at]),
                    "peak_t": float(map_[peak]),
                }
            )
    schema = {
        "id": pl.String, "cluster": pl.Int64, "sign": pl.Int64, "n_points": pl.Int64,
        "extent": pl.Float64, "mass": pl.Float64, "p_extent": pl.Float64, "p_mass": pl.Float64,
        "peak_t": pl.Float64,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema)
    return frame.hstack(point_columns(data.images.space, np.array(peaks, np.int64)))
