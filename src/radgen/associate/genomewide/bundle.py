"""Per-site bundles: cross-products from which joint analyses are done without people's data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.files import atomic_path, write_text
from radgen._core.progress import progress
from radgen.associate.genomewide._input import GwasInput, prepare
from radgen.associate.genomewide._run import cut
from radgen.errors import FormatError, InputError, shown
from radgen.genome._blocks import CentredBlock, read_source
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable

__all__ = ["Bundle", "Pattern", "make_bundle", "read_bundle"]

Array = NDArray[np.float64]
_TYPE, _VERSION = "radgen_bundle", 1


@dataclass(frozen=True, eq=False, slots=True)
class Pattern:
    """Cross-products of the people who have the same traits.

    Columns are the covariates, then the traits; all sums are about the means of these people.

    Attributes
    ----------
    traits : tuple of str
        Traits of this pattern.
    n : int
        People.
    mean : ndarray of float64 (n_columns,)
        Means of covariates and traits.
    cross : ndarray of float64 (n_columns, n_columns)
        Sums of products of covariates and traits.
    variants : ndarray of float64 (n_variants, 2 + n_columns)
        Of each variant: mean dosage, sum of squares, and sums of products with the columns;
        NaN where it is withheld. May lie on disk.
    """

    traits: tuple[str, ...]
    n: int
    mean: Array
    cross: Array
    variants: Array


@dataclass(frozen=True, eq=False, slots=True)
class Bundle:
    """What a site shares.

    Attributes
    ----------
    site : str
        Its name.
    build : str
        Genome build.
    covariates : tuple of str
        Names of the covariates.
    variants : polars.DataFrame
        chrom, pos, id, ref, alt, n_called, withheld (the reason, empty where shared).
    patterns : tuple of Pattern
        One a set of people with the same traits.
    facts : mapping
        Rules of disclosure and counts.
    """

    site: str
    build: str
    covariates: tuple[str, ...]
    variants: pl.DataFrame
    patterns: tuple[Pattern, ...]
    facts: dict[str, Any]


def make_bundle(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None,
    out: str | Path,
    *,
    site: str,
    traits: Sequence[str] | None = None,
    complete_only: bool = False,
    min_people: int = 50,
    min_carriers: int = 5,
    block_size: int | None = None,
) -> Bundle:
    """Write the bundle of a site, a folder, and return it.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once; missing calls take the mean of the site.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; NaN = missing.
    covariates : Covariates, data frame or None
        All that any later analysis may want; a later analysis takes a subset. The intercept is
        always there.
    out : str or Path
        Folder that is made; refused where it exists.
    site : str
        Name of the site.
    traits : sequence of str or None
        Which traits; None = all.
    complete_only : bool, default False
        Use the people with every trait only. Otherwise traits that miss different people are
        bundled apart, each exactly.
    min_people : int, default 50
        Fewest people with the same traits.
    min_carriers : int, default 5
        Two sets of people may differ by none or by at least as many.
        Variants with fewer carriers of either allele are withheld: their sums would show values
        of single people.
    block_size : int or None
        Variants read at a time.

    Returns
    -------
    Bundle

    Raises
    ------
    InputError
        If a pattern has too few people, or two patterns differ by so few that the difference of
        their sums would show them; or the folder exists.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    No line of the bundle belongs to a person: it holds means and sums of products of genotypes,
    covariates and traits, which are what least squares needs. Whoever holds the genotypes of
    the same people as well could still solve for the traits where there are more variants than
    people: share bundles among partners, as summary statistics with consent, not with the world.

    The folder holds ``bundle.json`` (names, counts, means, cross-products), ``variants.parquet``
    and ``pattern_K.npy``, float64 (n_variants, 2 + n_columns), C order, no pickle.

    References
    ----------
    Roshchupkin et al. (2016), doi:10.1038/srep36076 (partial derivatives meta-analysis).
    """
    if min_people < 2 or min_carriers < 1:
        raise InputError(
            f"Needed are min_people >= 2 and min_carriers >= 1; found {min_people}, {min_carriers}."
        )
    folder = Path(out)
    if folder.exists():
        raise InputError(f"{folder} exists already: name a new folder.")
    data = prepare(genotypes, phenotypes, covariates, traits)
    groups = _people(data, complete_only=complete_only)
    _refuse_disclosure(data, groups, min_people, min_carriers)
    working = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    patterns, variants = _write_variants(data, groups, working, min_carriers, block_size)
    facts = {
        "min_people": min_people,
        "min_carriers": min_carriers,
        "n_people": data.genotypes.n_samples,
        "missing_calls": "mean of the site",
        "complete_only": complete_only,
    }
    with atomic_path(working / "variants.parquet") as path:
        variants.write_parquet(path)
    _write_facts(working, data, site, patterns, facts)
    working.rename(folder)
    return read_bundle(folder)


def read_bundle(path: str | Path) -> Bundle:
    """Return the bundle of a folder; cross-products of variants stay on disk.

    Raises
    ------
    FormatError
        If it is no bundle, of another version, or its parts do not fit together.
    """
    folder = Path(path)
    try:
        facts = json.loads((folder / "bundle.json").read_text("utf-8"))
        variants = pl.read_parquet(folder / "variants.parquet")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise FormatError(
            f"is no bundle ({type(error).__name__}: {error}).", path=folder
        ) from error
    found = (facts.get("encoding_type"), facts.get("encoding_version"))
    if found != (_TYPE, _VERSION):
        raise FormatError(
            f"holds {found}; this version of radgen reads {(_TYPE, _VERSION)}.", path=folder
        )
    patterns = []
    for number, item in enumerate(facts["patterns"]):
        try:
            table = np.load(folder / f"pattern_{number}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise FormatError(
                f"pattern_{number}.npy cannot be read ({type(error).__name__}).", path=folder
            ) from error
        mean, cross = np.array(item["mean"], float), np.array(item["cross"], float)
        n_columns = len(facts["covariates"]) + len(item["traits"])
        if (
            table.shape != (variants.height, 2 + n_columns)
            or table.dtype != np.float64
            or mean.shape != (n_columns,)
            or cross.reshape(-1).shape != (n_columns * n_columns,)
        ):
            raise FormatError(f"pattern_{number}.npy has shape {table.shape}.", path=folder)
        patterns.append(
            Pattern(
                tuple(item["traits"]), int(item["n"]), mean, cross.reshape(n_columns, n_columns),
                table,
            )
        )  # fmt: skip
    return Bundle(
        str(facts["site"]), str(facts["build"]), tuple(facts["covariates"]), variants,
        tuple(patterns), dict(facts["facts"]),
    )  # fmt: skip


_Groups = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _people(data: GwasInput, *, complete_only: bool) -> _Groups:
    """Return (people, traits) of each pattern."""
    known = np.isfinite(data.values)
    if complete_only or known.all():
        people = np.flatnonzero(known.all(axis=1))
        return [(people, np.arange(known.shape[1]))]
    patterns: dict[bytes, list[int]] = {}
    for trait in range(known.shape[1]):
        patterns.setdefault(known[:, trait].tobytes(), []).append(trait)
    return [(np.flatnonzero(known[:, own[0]]), np.array(own)) for own in patterns.values()]


def _refuse_disclosure(
    data: GwasInput, groups: _Groups, min_people: int, min_carriers: int
) -> None:
    small = [data.names[own[0]] for people, own in groups if len(people) < min_people]
    if small:
        raise InputError(
            f"Fewer than {min_people} people have the traits {shown(small)}: leave these out. A "
            "bundle of few people could show single ones."
        )
    for (first, left), (second, right) in combinations(groups, 2):
        for one, other in ((first, second), (second, first)):
            count = len(np.setdiff1d(one, other))
            if 0 < count < min_carriers:
                raise InputError(
                    f"The traits {data.names[left[0]]!r} and {data.names[right[0]]!r} miss nearly "
                    f"the same people ({count} of difference): the difference of their sums "
                    "would show these. Use complete_only=True, or set both traits missing for "
                    "the same people."
                )


def _write_variants(
    data: GwasInput, groups: _Groups, folder: Path, min_carriers: int, block_size: int | None
) -> tuple[list[Pattern], pl.DataFrame]:
    view, c = data.genotypes, data.covariates.shape[1]
    tables, patterns, columns = [], [], []
    for number, (people, own) in enumerate(groups):
        both = np.hstack([data.covariates[people], data.values[np.ix_(people, own)]])
        mean = both.mean(axis=0)
        centred = both - mean
        columns.append(centred)
        shape = (view.n_variants, 2 + c + len(own))
        path = folder / f"pattern_{number}.npy"
        table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
        tables.append(table)
        names = tuple(data.names[trait] for trait in own)
        patterns.append(Pattern(names, len(people), mean, centred.T @ centred, table))
    called = np.empty(view.n_variants, np.int64)
    withheld = np.zeros(view.n_variants, bool)
    with progress("Bundling variants", view.n_variants) as tick:
        for start, stop in cut(view, block_size):
            block = read_source(view, start, stop).centred(np.float64)
            called[start:stop] = block.n_known
            for (people, _), centred, table in zip(groups, columns, tables, strict=True):
                few = _few_carriers(block, people, min_carriers)
                withheld[start:stop] |= few
                table[start:stop] = _sums(block, people, centred)
            for table in tables:
                table[start:stop][withheld[start:stop]] = np.nan
            tick(stop - start)
    for table in tables:
        table.flush()
    reason = np.where(withheld, f"fewer than {min_carriers} carriers of an allele", "")
    variants = view.variants.select("chrom", "pos", "id", "ref", "alt").with_columns(
        pl.Series("n_called", called), pl.Series("withheld", reason)
    )
    return patterns, variants


def _few_carriers(block: CentredBlock, people: NDArray[np.int64], fewest: int) -> NDArray[np.bool_]:
    """Return which variants have few carriers of either allele among some people."""
    dosage = block.g[:, people] + block.mean[:, None]
    alt, ref = (dosage > 0.5).sum(axis=1), (dosage < 1.5).sum(axis=1)
    return np.asarray(np.minimum(alt, ref) < fewest)


def _sums(block: CentredBlock, people: NDArray[np.int64], centred: Array) -> Array:
    g = block.g[:, people]
    shift = g.mean(axis=1)
    g = g - shift[:, None]
    squares = np.einsum("mn,mn->m", g, g)
    return np.column_stack([block.mean + shift, squares, g @ centred])


def _write_facts(
    folder: Path, data: GwasInput, site: str, patterns: list[Pattern], facts: dict[str, Any]
) -> None:
    content = {
        "encoding_type": _TYPE,
        "encoding_version": _VERSION,
        "site": site,
        "build": data.genotypes.build,
        "covariates": list(data.covariate_names),
        "patterns": [
            {
                "traits": list(item.traits),
                "n": item.n,
                "mean": item.mean.tolist(),
                "cross": item.cross.tolist(),
            }
            for item in patterns
        ],
        "facts": facts,
    }
    write_text(folder / "bundle.json", json.dumps(content, indent=1))
