"""Which gene sets a model of image phenotypes lives on: keep one set, mask the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from radgen._core.blocks import block_ranges, map_units
from radgen._core.rng import derive_seed, spawn
from radgen.associate import _pairs
from radgen.associate._held_out import performance as _performance
from radgen.associate._plan import families_of, match
from radgen.associate.gene_sets._gene_side import complete_genes
from radgen.associate.gene_sets.masking_result import MASKING_COLUMNS, MaskingResult
from radgen.errors import InputError
from radgen.omics._sets import SetIndex, index_sets
from radgen.omics.gene_sets import standardise_by
from radgen.stats import multiplicity
from radgen.stats.ridge import RidgeBasis
from radgen.types import OmicsTable, PhenotypeTable

__all__ = ["mask_genes"]

Array = NDArray[np.float64]

_BINS = (10, 5, 2, 1)
_FEW = 5
_PERMUTED_AT_ONCE = 250


@dataclass(frozen=True, eq=False)
class _Drawer:
    """Draws random sets of other genes, as many from each bin of expression as a set has."""

    rank: NDArray[np.int64]
    seed: int

    def draw(
        self, name: str, members: NDArray[np.int64], n_draws: int, *, stage: int
    ) -> NDArray[np.int64]:
        """Return (n_draws, n_members) columns; the same for the same name and stage."""
        rng = spawn(self.seed, "random sets", name, stage)
        others = np.ones(len(self.rank), dtype=bool)
        others[members] = False
        for n_bins in _BINS:
            place = self.rank * n_bins // len(self.rank)
            wanted = np.bincount(place[members], minlength=n_bins)
            free = np.bincount(place[others], minlength=n_bins)
            if (free >= wanted).all():
                break
        parts = []
        for k in np.flatnonzero(wanted):
            pool = np.flatnonzero(others & (place == k))
            parts.append(pool[_without_replacement(len(pool), int(wanted[k]), n_draws, rng)])
        return np.concatenate(parts, axis=1)


def _without_replacement(
    total: int, wanted: int, n_draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    if 4 * wanted**2 > total:
        keys = rng.random((n_draws, total))
        return np.asarray(np.argpartition(keys, wanted - 1, axis=1)[:, :wanted])
    out = rng.integers(0, total, (n_draws, wanted))
    while True:
        ordered = np.sort(out, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if not twice.any():
            return out
        out[twice] = rng.integers(0, total, (int(twice.sum()), wanted))


@dataclass(frozen=True, eq=False)
class _Unit:
    """One phenotype as it travels to a worker; `draws` are random sets, permutations and more."""

    name: str
    target: Array
    genes: Array
    names: tuple[str, ...]
    members: tuple[NDArray[np.int64], ...]
    drawer: _Drawer
    model: Any
    folds: int
    draws: tuple[int, int, int]
    seed: int


@dataclass(frozen=True, eq=False)
class _Answer:
    """Performance of all genes and of each set, and what chance gives, (n_sets,) each."""

    metric: str
    whole: float
    kept: Array
    mean: Array
    spread: Array
    p_random: Array
    p_chance: Array


def mask_genes(
    phenotypes: PhenotypeTable,
    omics: OmicsTable,
    sets: Mapping[str, Sequence[str]],
    *,
    model: Any = None,
    folds: int = 5,
    n_random: int = 200,
    n_permutations: int = 200,
    n_more: int = 2000,
    families: Mapping[str, str] | None = None,
    min_genes: int = 5,
    max_genes: int | None = None,
    max_missing: float = 0.2,
    min_n: int = 30,
    executor: Executor | None = None,
    seed: int = 0,
) -> MaskingResult:
    """Return how well each phenotype is predicted when all but one gene set are masked.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes; 0/1 columns are judged by AUC, others by correlation.
    omics : OmicsTable
        Expression on a log scale.
    sets : mapping of str to sequence of str
        Genes of each set.
    model : estimator or None
        Any scikit-learn regressor or classifier; clones are fitted on genes that are standardised
        by the training samples. None = ridge regression, its penalty chosen by generalised
        cross-validation within the training samples. Models with ``coef_`` are masked by
        arithmetic, others by predicting.
    folds : int, default 5
        Of the cross-validation; stratified for 0/1.
    n_random : int, default 200
        Random sets for each set.
    n_permutations : int, default 200
        Models of the permuted phenotype; 0 = none, and ``p`` is that of random sets alone.
    n_more : int, default 2000
        More of both where at most 5 of the first do as well, so that small p-values are told
        apart; 0 = none. More permutations are drawn with the default model only.
    families : mapping of str to str or None
        Family of each phenotype for the hierarchical q-value.
    min_genes, max_genes : int
        Sets with fewer or more measured members are left out (5; half of all genes where None).
    max_missing : float, default 0.2
        Genes with a larger share of missing values are left out; other holes count as the mean.
    min_n : int, default 30
        Fewest samples of a phenotype that is modelled.
    executor : concurrent.futures.Executor or None
        Where the phenotypes run.
    seed : int, default 0
        Of folds and random sets.

    Returns
    -------
    MaskingResult
        A row a phenotype and set.

    Raises
    ------
    InputError
        If an option is out of range, no set is usable, or the layer holds raw counts.
    AlignmentError
        If too few samples match.

    Notes
    -----
    A masked gene stands at its training mean, and the prediction with all genes masked is taken
    off before folds are pooled. In a linear model the masked prediction is the sum
    of the kept terms. Random sets are drawn from genes outside the set, from
    the same deciles of mean expression (fewer, wider bins where a panel is small). The p-value
    says whether *this* set serves the model better than others of
    its size, not whether the phenotype is predictable at all: see ``whole``.

    References
    ----------
    Smedley, El-Saden & Hsu (2020), Bioinformatics 36, 3537,
    doi:10.1093/bioinformatics/btaa126.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids, genes = [f"s{i}" for i in range(80)], [f"g{j}" for j in range(100)]
    >>> x = rng.standard_normal((80, 100))
    >>> images = PhenotypeTable.from_frame({"sample": ids, "volume": x[:, :10].sum(axis=1)})
    >>> layer = OmicsTable(ids, genes, x, "expression", "log2")
    >>> found = mask_genes(images, layer, {"A": genes[:10], "B": genes[50:60]}, n_random=99)
    >>> found.significant()["set"].to_list()
    ['A']
    """
    if folds < 2 or n_random < 1 or min(n_permutations, n_more) < 0 or min_n < 2 * folds:
        raise InputError(
            "folds is at least 2, n_random 1, n_permutations and n_more 0, and min_n twice the "
            f"folds; found {folds}, {n_random}, {n_permutations}, {n_more} and {min_n}."
        )
    if omics.scale == "counts":
        raise InputError("The layer holds raw counts. Normalise it first (`omics.normalise`).")
    reasons: dict[str, str] = {}
    matched = match(phenotypes, omics, None, label=omics.layer, reasons=reasons)
    genes = complete_genes(matched.omics, max_missing=max_missing)
    values = matched.omics[:, genes.columns]
    names = [omics.features[j] for j in genes.columns]
    most = min(max_genes or len(names), len(names) // 2)
    index = index_sets(sets, names, min_genes=min_genes, max_genes=most)
    rank = rankdata(genes.values.mean(axis=0), method="ordinal").astype(np.int64) - 1
    drawer = _Drawer(rank, seed)
    units, small = [], {}
    for column, name in enumerate(phenotypes.names):
        own = matched.traits[:, column]
        rows = np.flatnonzero(np.isfinite(own))
        why = _unfit(own[rows], min_n, folds)
        if why:
            small[name] = (len(rows), why)
            continue
        units.append(
            _Unit(name, own[rows], values[rows], index.names, index.members, drawer, model, folds,
                  (n_random, n_permutations, n_more), derive_seed(seed, "mask", name) % (2**31))
        )  # fmt: skip
    found = map_units(_masked, units, executor=executor, what="Masking genes")
    family = dict(zip(phenotypes.names, families_of(phenotypes, families), strict=True))
    done = {unit.name: (unit, answer) for unit, answer in zip(units, found, strict=True)}
    parts = [
        _rows((name, family[name]), index, done.get(name), small.get(name))
        for name in phenotypes.names
    ]
    return MaskingResult(
        frame=_adjusted(pl.concat(parts)),
        params={
            "model": "ridge regression" if model is None else type(model).__name__,
            "folds": folds,
            "n_random": n_random,
            "n_permutations": n_permutations,
            "n_more": n_more,
            "n_genes": len(names),
            "n_sets": len(sets),
            "min_genes": min_genes,
            "max_missing": max_missing,
            "seed": seed,
        },
        n_used=len(matched.samples),
        dropped=pl.DataFrame(
            {"sample": list(reasons), "reason": list(reasons.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ),
        provenance={"step": "associate.mask_genes", "version": 1, "seed": seed},
        left_out=dict(index.left_out),
    )


def _unfit(own: Array, min_n: int, folds: int) -> str:
    if len(own) < min_n:
        return f"{len(own)} samples have the phenotype; needed are {min_n}"
    if np.ptp(own) == 0:
        return "the phenotype does not vary"
    if _pairs.is_binary(own[:, None])[0]:
        fewest = int(min(own.sum(), len(own) - own.sum()))
        if fewest < folds:
            return f"{fewest} samples in the smaller class; needed are {folds}"
    return ""


def _masked(unit: _Unit) -> _Answer:
    return _Masker(unit).answer()


class _Masker:
    """The models of one phenotype, a fold each."""

    def __init__(self, unit: _Unit) -> None:
        self.unit = unit
        self.y = unit.target
        self.binary = bool(_pairs.is_binary(self.y[:, None])[0])
        splitter = (StratifiedKFold if self.binary else KFold)(
            unit.folds, shuffle=True, random_state=unit.seed
        )
        self.parts = []
        for train, test in splitter.split(unit.genes, self.y if self.binary else None):
            mean, spread = standardise_by(unit.genes[train], ddof=0)
            z = np.nan_to_num((unit.genes - mean) / spread, nan=0.0)
            basis = RidgeBasis.of(z[train]) if unit.model is None else None
            self.parts.append((train, test, z, basis))

    def answer(self) -> _Answer:
        unit, (n_random, n_permutations, n_more) = self.unit, self.unit.draws
        models = [
            _fitted(unit.model, z[train], self.y[train], basis) for train, _, z, basis in self.parts
        ]
        k = len(unit.members)
        kept, mean, spread, p_random = (np.empty(k) for _ in range(4))
        for j, (name, members) in enumerate(zip(unit.names, unit.members, strict=True)):
            kept[j] = self._performance(models, members[None])[0]
            null = self._performance(models, unit.drawer.draw(name, members, n_random, stage=1))
            if n_more and _beyond(null, kept[j]) <= _FEW:
                more = unit.drawer.draw(name, members, n_more, stage=2)
                null = np.concatenate([null, self._performance(models, more)])
            mean[j], p_random[j] = null.mean(), (_beyond(null, kept[j]) + 1) / (len(null) + 1)
            spread[j] = null.std(ddof=1) if len(null) > 1 else np.nan
        whole = float(self._performance(models, None)[0])
        p_chance = np.full(k, np.nan)
        if n_permutations:
            more = n_more if unit.model is None else 0
            p_chance = self._chance(kept, n_permutations, more)
        metric = "auc" if self.binary else "r"
        return _Answer(metric, whole, kept, mean, spread, p_random, p_chance)

    def _performance(self, models: list[Any], sets: NDArray[np.int64] | None) -> Array:
        scores = np.empty((len(self.y), 1 if sets is None else len(sets)))
        for (_, test, z, _), predict in zip(self.parts, models, strict=True):
            # The level of a fold's model mirrors the others' outcomes: without the prediction
            # of everything masked, predictions of pure noise would go against the phenotype.
            level = predict(np.zeros((1, z.shape[1])), None)[0]
            found = predict(z[test], sets) - level
            scores[test] = found[:, None] if sets is None else found
        return _performance(self.y[:, None], scores, self.binary)

    def _chance(self, kept: Array, n_permutations: int, n_more: int) -> Array:
        """Return the p of each set against models of permuted phenotypes."""
        every = np.arange(len(kept))
        null = self._permuted(every, 0, n_permutations)
        beyond = (null >= kept - 1e-12).sum(axis=0)
        total = np.full(len(kept), n_permutations)
        few = np.flatnonzero(beyond <= _FEW)
        if n_more and len(few):
            more = self._permuted(few, n_permutations, n_permutations + n_more)
            beyond[few] += (more >= kept[few] - 1e-12).sum(axis=0)
            total[few] += n_more
        return np.asarray((beyond + 1) / (total + 1))

    def _permuted(self, chosen: NDArray[np.int64], start: int, stop: int) -> Array:
        """Performance of the chosen sets in permutations, (n_permutations, n_chosen)."""
        out = np.empty((stop - start, len(chosen)))
        for first, last in block_ranges(stop - start, _PERMUTED_AT_ONCE):
            y = np.column_stack(
                [
                    spawn(self.unit.seed, "mask permutation", start + number).permutation(self.y)
                    for number in range(first, last)
                ]
            )
            scores = np.empty((len(chosen), *y.shape))
            for part in self.parts:
                self._fill(scores, chosen, y, part)
            for j in range(len(chosen)):
                out[first:last, j] = _performance(y, scores[j], self.binary)
        return out

    def _fill(
        self,
        scores: Array,
        chosen: NDArray[np.int64],
        y: Array,
        part: tuple[NDArray[np.int64], NDArray[np.int64], Array, RidgeBasis | None],
    ) -> None:
        train, test, z, basis = part
        members = [self.unit.members[column] for column in chosen]
        if basis is not None:
            weights = basis.fit(y[train]).coefficients
            for j, own in enumerate(members):
                scores[j][test] = z[np.ix_(test, own)] @ weights[own]
            return
        for number in range(y.shape[1]):
            predict = _fitted(self.unit.model, z[train], y[train, number])
            level = predict(np.zeros((1, z.shape[1])), None)[0]
            for j, own in enumerate(members):
                scores[j][test, number] = predict(z[test], own[None])[:, 0] - level


def _beyond(null: Array, kept: float) -> int:
    return int((null >= kept - 1e-12).sum())


def _fitted(model: Any, x: Array, y: Array, basis: RidgeBasis | None = None) -> Any:
    """Return a function that predicts from some genes, the others at their mean of 0."""
    if basis is not None:
        fit = basis.fit(y[:, None])
        return _linear(fit.coefficients[:, 0], float(fit.intercepts[0]))
    own = clone(model).fit(x, y)
    coefficients = getattr(own, "coef_", None)
    if coefficients is not None and np.size(coefficients) == x.shape[1]:
        return _linear(np.ravel(coefficients), float(np.ravel(own.intercept_)[0]))

    def predict(z: Array, sets: NDArray[np.int64] | None) -> Array:
        if sets is None:
            return _score(own, z)
        out: list[Array] = []
        for members in sets:
            masked = np.zeros_like(z)
            masked[:, members] = z[:, members]
            out.append(_score(own, masked))
        return np.column_stack(out)

    return predict


def _linear(coefficients: Array, intercept: float) -> Any:
    def predict(z: Array, sets: NDArray[np.int64] | None) -> Array:
        terms = z * coefficients
        if sets is None:
            return np.asarray(terms.sum(axis=1) + intercept)
        shape = (len(sets), z.shape[1])
        starts = np.arange(len(sets) + 1) * sets.shape[1]
        inside = csr_array((np.ones(sets.size), sets.ravel(), starts), shape=shape)
        return np.asarray((inside @ terms.T).T + intercept)

    return predict


def _score(model: Any, z: Array) -> Array:
    if hasattr(model, "decision_function"):
        return np.asarray(np.ravel(model.decision_function(z)), dtype=np.float64)
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(z)[:, 1], dtype=np.float64)
    return np.asarray(np.ravel(model.predict(z)), dtype=np.float64)


def _rows(
    about: tuple[str, str],
    index: SetIndex,
    done: tuple[_Unit, _Answer] | None,
    small: tuple[int, str] | None,
) -> pl.DataFrame:
    (name, family), k = about, len(index.names)
    columns: dict[str, Any] = dict.fromkeys(MASKING_COLUMNS)
    columns |= {"phenotype": [name] * k, "set": list(index.names), "family": [family] * k}
    columns |= {"n_members": index.sizes.tolist(), "status": ["ok"] * k, "reason": [""] * k}
    if done is None:
        assert small is not None
        columns |= {"n": [small[0]] * k, "status": ["not_tested"] * k, "reason": [small[1]] * k}
    else:
        unit, found = done
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(found.spread > 0, (found.kept - found.mean) / found.spread, np.nan)
        columns |= {
            "n": [len(unit.target)] * k, "metric": [found.metric] * k, "whole": [found.whole] * k,
            "kept": found.kept, "random_mean": found.mean, "random_sd": found.spread, "z": z,
            "p_random": found.p_random, "p_chance": found.p_chance,
            "p": np.fmax(found.p_random, found.p_chance),
        }  # fmt: skip
    series = [
        pl.Series(key, value if value is not None else [None] * k, dtype=MASKING_COLUMNS[key])
        for key, value in columns.items()
    ]
    return pl.DataFrame(series).with_columns(pl.col(pl.Float64).fill_nan(None))


def _adjusted(frame: pl.DataFrame) -> pl.DataFrame:
    p = frame["p"].fill_null(np.nan).to_numpy()
    codes = np.unique(frame["family"].to_numpy().astype(str), return_inverse=True)[1]
    columns = {
        "p_bonferroni": multiplicity.bonferroni(p),
        "q_bh": multiplicity.bh(p),
        "q_hierarchical": multiplicity.hierarchical(p, codes),
    }
    return frame.with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in columns.items()
    )
