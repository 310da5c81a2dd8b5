"""Chromosomes that not everybody has twice: X, Y and mitochondria.

Files write one allele of a haploid call as two (dosage 0 or 2). On X outside the pseudo-autosomal
regions a man's dosage stays so, as if his one allele did what two do in a woman (X inactivation),
or is halved; sex joins the covariates, and who has no known sex has no call there. On Y women have
no call. Y and MT dosages count alleles, 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate.genomewide._input import GwasInput, id_column
from radgen.associate.genomewide._rows import TestRows
from radgen.associate.genomewide._run import Scan
from radgen.errors import InputError, shown
from radgen.genome._blocks import BlockSource
from radgen.types import FrameLike, GenotypeMatrix, check_unique, to_polars

__all__ = ["HAPLOID", "HaploidScan", "label_runs", "sexes_of", "unsexed", "with_sex", "without_y"]

Array = NDArray[np.float64]
HAPLOID = ("X", "Y", "MT")
_PAR = {
    "GRCh37": ((60_001, 2_699_520), (154_931_044, 155_260_560)),
    "GRCh38": ((10_001, 2_781_479), (155_701_383, 156_030_895)),
}
"""Pseudo-autosomal regions of X, 1-based, ends included (Genome Reference Consortium)."""
_WORDS = {"male": "male", "m": "male", "1": "male", "man": "male"}
_WORDS |= {"female": "female", "f": "female", "2": "female", "woman": "female"}
_SPARE = 4
"""Men on chromosome Y beyond the number of covariates."""
_UNKNOWN = ("", "0", "na", "nan", "none", "null", "unknown", "-9", ".")


def sexes_of(sex: Mapping[str, str | None] | FrameLike, samples: tuple[str, ...]) -> NDArray[Any]:
    """Return "male", "female" or "" of each sample.

    Raises
    ------
    InputError
        If there is no column of sexes, or a word is none.
    AlignmentError
        If a sample id is repeated.
    """
    if not isinstance(sex, Mapping) or {"sex", "SEX", "Sex"} & set(sex):
        frame = to_polars(sex, what="table of sexes")
        key = id_column(frame, what="table of sexes")
        column = next((name for name in frame.columns if name.lower() == "sex"), None)
        if column is None:
            raise InputError(f"The table of sexes has no column 'sex'; found: {frame.columns}.")
        ids = frame[key].cast(pl.String).to_list()
        check_unique(ids, what="Table of sexes")
        sex = dict(zip(ids, frame[column].to_list(), strict=True))
    words = {}
    for name, value in sex.items():
        number = isinstance(value, float) and value == int(value) if value is not None else False
        word = str(int(value) if number else value).strip().lower()  # type: ignore[call-overload]
        if word not in _WORDS and word not in _UNKNOWN:
            raise InputError(
                f"The sex of sample {name!r} is {value!r}; needed is male, female, M, F, 1 or 2."
            )
        words[str(name)] = _WORDS.get(word, "")
    return np.array([words.get(name, "") for name in samples], dtype=object)


def unsexed(haploid: set[str]) -> str:
    """Return what a reader must know where sexes are not known."""
    return (
        f"Sexes are not known: chromosomes {shown(sorted(haploid))} are tested as they are coded, "
        "without sex beside. Give sex (--sex) for their proper coding."
    )


def label_runs(genotypes: GenotypeMatrix) -> list[tuple[str, int]]:
    """Return chromosomes in order, pseudo-autosomal places of X named apart, with their lengths."""
    runs = genotypes.chromosome_runs
    regions = _PAR.get(genotypes.build)
    if regions is None or "X" not in dict(runs):
        return runs
    chrom = genotypes.variants["chrom"]
    pos = genotypes.variants["pos"]
    inside = pl.Series(np.zeros(len(chrom), bool))
    for low, high in regions:
        inside |= pos.is_between(low, high)
    inside &= chrom == "X"
    found = chrom.set(inside, "X (PAR)").rle()
    return list(zip(found.struct.field("value"), found.struct.field("len"), strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class HaploidScan:
    """A model that tests blocks of X, Y or MT.

    Attributes
    ----------
    inner : Scan
        The model, sex among its covariates on X.
    factor : ndarray of float32 (n_samples,)
        What the file's dosage of each sample is multiplied with; NaN = no call.
    ploidy : ndarray of float64 (n_samples,)
        Alleles that a sample has, 1 or 2; 0 where it has no call.
    used : ndarray of float64 (n_samples, n_traits)
        1 where a trait is known, else 0.
    """

    inner: Any
    factor: NDArray[np.float32]
    ploidy: Array
    used: Array

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        dosage = source.dosages()
        known = np.isfinite(dosage)
        alleles = np.where(known, dosage, 0.0) * (0.5 * self.ploidy)
        held = (known * self.ploidy) @ self.used
        with np.errstate(invalid="ignore", divide="ignore"):
            freq = (alleles @ self.used) / held
        rows = self.inner.scan(BlockSource(source.start, dosage * self.factor))
        columns = dict(rows.columns)
        if len(columns["variant"]):
            place = columns["variant"] - source.start, columns["trait"]
            columns["freq"] = freq[place]
        grid = rows.grid
        if grid is not None:
            first = [int(group.traits[0]) for group in self.inner.groups]
            grid = replace(grid, freq=freq[:, first].astype(np.float32))
        return TestRows(columns, rows.hist, grid)


def without_y(data: GwasInput, sex: NDArray[Any]) -> tuple[GwasInput, tuple[str, ...]]:
    """Return the input without chromosome Y where too few men are in it, and what was left out.

    Parameters
    ----------
    data : GwasInput
        Matched input.
    sex : ndarray of object (n_samples,)
        From `sexes_of`.

    Raises
    ------
    InputError
        If no other variant is there.
    """
    men = int((sex == "male").sum())
    runs = label_runs(data.genotypes)
    on_y = np.repeat([name == "Y" for name, _ in runs], [length for _, length in runs])
    if not on_y.any() or men >= data.covariates.shape[1] + _SPARE:
        return data, ()
    if on_y.all():
        raise InputError(
            f"All variants lie on chromosome Y, and {men} men in the scan are too few to test them."
        )
    rest = data.genotypes.take_variants(np.flatnonzero(~on_y))
    note = (
        f"{on_y.sum()} variants of chromosome Y are not tested: {men} men in the scan are too few."
    )
    return replace(data, genotypes=rest), (note,)


def with_sex(
    data: GwasInput,
    sex: NDArray[Any],
    coding: int,
    *,
    present: set[str],
    scan_of: Callable[[str], Scan],
    plan: Callable[[GwasInput, str], Scan],
) -> tuple[Callable[[str], Scan], tuple[str, ...]]:
    """Return the model of each label of `label_runs`, and what a reader must know.

    Parameters
    ----------
    data : GwasInput
        Matched input.
    sex : ndarray of object (n_samples,)
        From `sexes_of`.
    coding : {1, 2}
        Dosage of a man with the ALT allele of X.
    present : set of str
        Chromosomes of the genotypes.
    scan_of : callable
        The model of a chromosome that all have twice.
    plan : callable
        Gives the model of other data for a chromosome.

    Raises
    ------
    InputError
        If chromosome X is there and nobody's sex is known.
    """
    male, female = sex == "male", sex == "female"
    notes = []
    if present & {"X", "Y"}:
        if not (male | female).any():
            raise InputError("Nobody in the scan has a known sex: chromosomes X and Y need it.")
        lost = np.flatnonzero(~(male | female))
        if len(lost):
            names = [data.genotypes.samples[row] for row in lost[:5]]
            notes.append(
                f"{len(lost)} samples have no known sex and no tests on X and Y, such as "
                f"{shown(names)}."
            )
        if "X" in present:
            notes.append(
                f"Chromosome X: a man's ALT allele counts {coding}; sex is a covariate there."
            )
    one = np.ones(len(sex))
    ways = {
        "X": (male | female, np.where(male & (coding == 1), 0.5, one), np.where(male, 1.0, 2.0)),
        "Y": (male, 0.5 * one, one),
        "MT": (one > 0, 0.5 * one, one),
    }

    def haploid(label: str) -> HaploidScan:
        has, factor, ploidy = ways[label]
        values = np.where(has[:, None], data.values, np.nan)
        x, names = data.covariates, data.covariate_names
        if label == "X":
            x = np.column_stack([x, male.astype(float)])
            names = (*names, "sex")
        own = replace(data, values=values, covariates=x, covariate_names=names)
        return HaploidScan(
            plan(own, label),
            np.where(has, factor, np.nan).astype(np.float32),
            np.where(has, ploidy, 0.0),
            np.isfinite(values).astype(float),
        )

    last: dict[str, HaploidScan] = {}

    def of(label: str) -> Scan:
        if label not in HAPLOID:
            return scan_of("X" if label == "X (PAR)" else label)
        if label not in last:
            last.clear()
            last[label] = haploid(label)
        return last[label]

    return of, tuple(notes)
