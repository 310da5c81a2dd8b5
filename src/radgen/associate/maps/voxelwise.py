"""Voxel-wise and vertex-wise scans: every predictor against every point of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.threads import n_threads
from radgen.associate.genomewide.result import median_inflation
from radgen.associate.maps._input import VoxelInput, prepare_images
from radgen.associate.maps._scan import exact_pairs, screen_points
from radgen.errors import InputError
from radgen.stats.tail import from_log10p, t_log10p
from radgen.types import (
    Covariates,
    FrameLike,
    GenotypeMatrix,
    ImageStack,
    Result,
    SurfaceSpace,
    VoxelSpace,
)

__all__ = ["VoxelwiseResult", "point_columns", "space_facts", "voxelwise"]

_SPARE = 3
_TESTS = ("beta", "se", "t", "log10p", "p")


@dataclass(frozen=True, eq=False)
class VoxelwiseResult(Result):
    """Tests of predictors against the points of images.

    Attributes
    ----------
    frame : polars.DataFrame
        Tests with p at or below the threshold: id (and chrom, pos, ref, alt of variants), n,
        alt_freq (mean of other predictors), beta, se, t, log10p, p, point, x, y, z; the
        predictors in order, then the points. `point` is the place in the flattened image (z, y,
        x) or the vertex; x, y, z are millimetres to the right, front and top (RAS), as viewers
        and MNI tables give them.
    predictors : polars.DataFrame
        A row a predictor: id …, n_below (points with p at or below the threshold), and the
        point with the smallest p.
    peaks : polars.DataFrame
        The points with the smallest p of each predictor, rank 1 first.
    points : polars.DataFrame
        A row a point: point, x, y, z, and the predictor with the smallest p there.
    qq : polars.DataFrame
        lower, upper, count: all tests, counted by squared t.
    space : mapping
        The grid or surface, as plain values.
    """

    kind: ClassVar[str] = "voxelwise"
    plots: ClassVar[tuple[str, ...]] = ("manhattan", "qq", "map")

    predictors: pl.DataFrame = field(default_factory=pl.DataFrame)
    peaks: pl.DataFrame = field(default_factory=pl.DataFrame)
    points: pl.DataFrame = field(default_factory=pl.DataFrame)
    qq: pl.DataFrame = field(default_factory=pl.DataFrame)
    space: dict[str, Any] = field(default_factory=dict)

    def plot(self, kind: str, *, ax: Any = None, **options: Any) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "manhattan" (each variant at its strongest point), "qq" (all tests) or "map" (the
            strongest predictor of each point).
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        **options : object
            threshold, genes; of "map" as for `VoxelTestResult.plot`.

        Raises
        ------
        InputError
            If this result has no such plot, or the predictors are no variants.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.genomewide import plot

        if kind == "map":
            frame = self.points.with_columns(pl.col("log10p").neg().fill_null(0.0).alias("best"))
            return plot.draw_map(
                frame, self.space, "best", label="-log10 p", signed=False, ax=ax, options=options
            )
        if kind == "manhattan":
            if "chrom" not in self.predictors.columns:
                raise InputError("A Manhattan plot needs variants; these predictors have no place.")
            frame = self.predictors.filter(pl.col("log10p").is_not_null())
            limit = 0.05 / max(self.params["n_tests"], 1)
            return plot.draw(kind, frame, ax=ax, options={"threshold": limit} | options)
        middle = 0.5 * (self.qq["lower"] + self.qq["upper"]).to_numpy()
        log10p = t_log10p(np.sqrt(middle), np.full(len(middle), self.params["df"]))
        counts = pl.DataFrame({"phenotype": "", "log10p": log10p, "count": self.qq["count"]})
        factor = pl.DataFrame({"phenotype": [""], "lambda_gc": [self.params["lambda_gc"]]})
        return plot.draw(kind, self.frame, ax=ax, options=options, qq_counts=counts, summary=factor)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        p = self.params
        limit = 0.05 / max(p["n_tests"], 1)
        hits = self.predictors.filter(pl.col("log10p") <= np.log10(limit)).sort("log10p")
        kind = "vertices" if self.space["kind"] == "surface" else "voxels"
        words = [
            f"{p['n_predictors']:,} predictors were tested at {p['n_points']:,} {kind} in "
            f"{self.n_used:,} people ({p['n_tests']:,} tests); {self.frame.height:,} have "
            f"p <= {p['threshold']:g}.",
            f"{hits.height} predictors reached p < {limit:.2g} (0.05 over all tests) somewhere."
            f" Genomic inflation lambda over all tests was {p['lambda_gc']:.3f}.",
        ]
        words += [
            f"{row['id']}: log10 p = {row['log10p']:.1f} at ({row['x']:.0f}, {row['y']:.0f}, "
            f"{row['z']:.0f}) mm, {row['n_below']:,} {kind} with p <= {p['threshold']:g}."
            for row in hits.head(5).iter_rows(named=True)
        ]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        names = p["covariates"]
        beside = f"{len(names)} covariates ({', '.join(names)})" if names else "an intercept alone"
        return (
            f"Each of {p['n_points']:,} points of the images was regressed on each of "
            f"{p['n_predictors']:,} predictors by ordinary least squares (exact t-tests, degrees "
            f"of freedom by rank), adjusted for {beside}. All tests were screened in single "
            f"precision; those with p <= {p['threshold']:g} and the strongest of each predictor "
            "and point were computed again in double precision. Missing calls and missing points "
            "were dropped test by test; nothing was imputed."
        )


def voxelwise(
    images: ImageStack,
    predictors: GenotypeMatrix | Covariates | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    threshold: float = 1e-5,
    n_top: int = 3,
    block_size: int | None = None,
    jobs: int | None = None,
) -> VoxelwiseResult:
    """Return the association of every predictor with every point of images.

    Parameters
    ----------
    images : ImageStack
        From `radgen.io.read_stack`: voxels of a mask, or vertices of a surface.
    predictors : GenotypeMatrix, Covariates or data frame
        Variants, or any table (expression, mutations 0/1, scores): one row a sample, one
        column a predictor, NaN = missing.
    covariates : Covariates, data frame or None
        Text columns become indicators; a sample that misses one is left out. The intercept is
        always there.
    threshold : float, default 1e-5
        Tests with at most this p are kept, all of them.
    n_top : int, default 3
        Points kept for each predictor, however large their p.
    block_size : int or None
        Predictors read at a time.
    jobs : int or None
        Threads; None = the processors at hand.

    Returns
    -------
    VoxelwiseResult

    Raises
    ------
    InputError
        If an option is out of range, or more than 20 million tests lie below the threshold.
    AlignmentError
        If too few samples are common to the tables.

    Notes
    -----
    The image is the response: value = intercept + covariates + beta * predictor + error at each
    point. Tiles of points are residualised once; a tile of correlations is one matrix product,
    which is summarised at once and never stored. Memory is the images (4 bytes a person and
    point; `read_stack` can leave them on disk) and 0.2 GB a thread for 2,000 people, 1 GB for
    40,000. Points that some people lack are grouped by who lacks them, each group with its own
    exact design.
    The strongest predictor of a point is found in single precision, and where calls are missing
    with these at the mean: near ties may fall either way. All numbers are exact.

    References
    ----------
    Stein et al. (2010), doi:10.1016/j.neuroimage.2010.02.032 (voxel-wise GWAS); Huang et al.
    (2015), doi:10.1016/j.neuroimage.2015.05.043.
    """
    if not 0 < threshold <= 0.05 or n_top < 1:
        raise InputError(
            f"Needed are a threshold in (0, 0.05] and n_top >= 1; found {threshold}, {n_top}."
        )
    if block_size is not None and block_size < 1:
        raise InputError(f"block_size is {block_size}; needed is at least 1.")
    data = prepare_images(images, predictors, covariates)
    block = block_size or int(np.clip((8 << 20) // data.n_samples, 16, 4096))
    workers = n_threads(jobs)
    # Some more than asked for: the screen may rank near ties another way than exact tests.
    spare = min(n_top + _SPARE, images.n_points)
    found = screen_points(data, threshold=threshold, n_top=spare, block=block, jobs=workers)
    tops = _pairs(found.tops)
    best = np.column_stack([found.best, np.arange(images.n_points)])[found.best >= 0]
    every = np.concatenate([found.hits, tops, best])
    keys = every[:, 0] * np.int64(images.n_points) + every[:, 1]
    _, first, back = np.unique(keys, return_index=True, return_inverse=True)
    tests = exact_pairs(data, every[first], block=block, jobs=workers)
    table = _table(data, every[first], tests)
    number = np.split(back, [len(found.hits), len(found.hits) + len(tops)])
    hits = table[np.unique(number[0])].filter(pl.col("log10p") <= np.log10(threshold))
    n_tests = int(found.hist.sum())
    df = data.n_samples - np.linalg.matrix_rank(
        np.column_stack([np.ones(data.n_samples), data.covariates])
    )
    params = {
        "covariates": data.covariate_names,
        "threshold": threshold,
        "n_predictors": data.predictors.n,
        "n_points": images.n_points,
        "n_tests": n_tests,
        "lambda_gc": median_inflation(found.hist, float(df - 1)),
        "n_top": n_top,
        "df": float(df - 1),
    }
    peaks = _ranked(table, number[1]).filter(pl.col("rank") <= n_top)
    return VoxelwiseResult(
        hits.drop("_row"),
        params,
        data.n_samples,
        data.dropped,
        data.notes,
        predictors=_by_predictor(data, peaks, hits),
        peaks=peaks.drop("_row"),
        points=_by_point(data, table, number[2]),
        qq=_qq(found.hist),
        space=space_facts(images.space),
    )


def _pairs(tops: NDArray[np.int64]) -> NDArray[np.int64]:
    row, rank = np.nonzero(tops >= 0)
    return np.column_stack([row, tops[row, rank]])


def point_columns(space: VoxelSpace | SurfaceSpace, at: NDArray[np.int64]) -> list[pl.Series]:
    """Return point, x, y, z (RAS millimetres) of points of a space."""
    where = space.positions_mm[at] * (-1.0, -1.0, 1.0) + 0.0  # no -0.0
    return [
        pl.Series("point", space.index[at]),
        *(pl.Series(name, where[:, axis]) for axis, name in enumerate("xyz")),
    ]


def space_facts(space: VoxelSpace | SurfaceSpace) -> dict[str, Any]:
    """Return a grid or surface as plain values."""
    if isinstance(space, VoxelSpace):
        return {
            "kind": "grid",
            "shape": space.geometry.shape,
            "affine_lps": tuple(space.geometry.affine.ravel().tolist()),
        }
    return {"kind": "surface", "n_vertices": space.n_vertices}


def _table(
    data: VoxelInput, pairs: NDArray[np.int64], tests: dict[str, NDArray[np.float64]]
) -> pl.DataFrame:
    genetic = data.predictors.genotypes is not None
    columns = {
        "n": tests["n"].astype(np.int32),
        "alt_freq" if genetic else "mean": tests["freq"],
        **{name: tests[name] for name in _TESTS[:-1]},
        "p": from_log10p(tests["log10p"]),
    }
    return data.predictors.frame[pl.Series(pairs[:, 0])].with_columns(
        pl.Series("_row", pairs[:, 0]),
        *(pl.Series(name, values) for name, values in columns.items()),
        *point_columns(data.images.space, pairs[:, 1]),
    )


def _ranked(table: pl.DataFrame, number: NDArray[np.int64]) -> pl.DataFrame:
    """Return the strongest points of each predictor, ranked by their exact p."""
    frame = table[pl.Series(number)].sort("_row", "log10p", maintain_order=True)
    return frame.with_columns(
        pl.int_range(1, pl.len() + 1).over("_row").cast(pl.Int64).alias("rank")
    )


def _by_predictor(data: VoxelInput, peaks: pl.DataFrame, hits: pl.DataFrame) -> pl.DataFrame:
    keys = data.predictors.frame.columns
    counts = hits.group_by("_row").len("n_below")
    first = peaks.filter(pl.col("rank") == 1).drop("rank")
    frame = data.predictors.frame.with_columns(_row=pl.int_range(pl.len()))
    out = frame.join(first.drop(keys), on="_row", how="left", maintain_order="left")
    out = out.join(counts, on="_row", how="left", maintain_order="left")
    return out.drop("_row").with_columns(pl.col("n_below").fill_null(0).cast(pl.Int64))


def _by_point(data: VoxelInput, table: pl.DataFrame, number: NDArray[np.int64]) -> pl.DataFrame:
    space = data.images.space
    every = pl.DataFrame(point_columns(space, np.arange(space.n_points)))
    found = table[pl.Series(number)].drop("x", "y", "z", "_row")
    return every.join(found, on="point", how="left", maintain_order="left")


def _qq(hist: NDArray[np.int64]) -> pl.DataFrame:
    from radgen.associate.genomewide._rows import bin_edges

    edges = bin_edges()
    used = np.flatnonzero(hist)
    return pl.DataFrame({"lower": edges[used], "upper": edges[used + 1], "count": hist[used]})
