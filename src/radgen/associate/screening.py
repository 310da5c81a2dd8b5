"""Test every image phenotype against one outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean, require_choice
from radgen.associate import _pairs
from radgen.associate._interaction import interaction_block
from radgen.associate._kernels import KERNELS, MODIFIED
from radgen.associate._pairs import PairBlock
from radgen.associate._plan import BEYOND, families_of, scaled, without_sentinels
from radgen.associate._summary import tally
from radgen.associate._survival import cox_block
from radgen.associate._table import Names, Piece, assemble, n_effective
from radgen.associate.association_result import AssociationResult
from radgen.errors import InputError
from radgen.stats import multiplicity
from radgen.stats.tail import from_log10p
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable, align
from radgen.types.phenotype import blank_specs, empty_status

__all__ = ["screen"]

Array = NDArray[np.float64]

_AUTO = {"continuous": "linear", "binary": "logistic", "ordinal": "ordinal", "censored": "cox"}
_FITTING = {
    "continuous": ("linear", "linear_hc3", "spearman"),
    "binary": ("logistic", "firth", "mann_whitney", "fisher", "linear"),
    "ordinal": ("ordinal", "spearman", "jonckheere", "kruskal"),
    "censored": ("cox",),
}


def screen(
    phenotypes: PhenotypeTable | OmicsTable,
    outcome: Outcome,
    covariates: Covariates | None = None,
    *,
    test: str = "auto",
    modifier: str | None = None,
    filter_level: float | None = None,
    families: Mapping[str, str] | None = None,
    standardise: bool = True,
    min_n: int = 10,
    min_group: int = 3,
    confidence: float = 0.95,
) -> AssociationResult:
    """Return the association of every phenotype with one outcome.

    Parameters
    ----------
    phenotypes : PhenotypeTable or OmicsTable
        Image phenotypes, or molecular features.
    outcome : Outcome
        Continuous, binary, ordinal or censored; its kind chooses the test.
    covariates : Covariates or None
        Adjusted for; samples with a missing covariate are dropped.
    test : str, default "auto"
        "linear" for continuous, "logistic" (Firth's estimate under separation) for binary,
        "ordinal" and "cox" for the others; also "linear_hc3", "spearman", "firth",
        "mann_whitney", "fisher", "jonckheere", "kruskal" where they fit the outcome.
    modifier : str or None
        One of the covariates (the treatment, say): what is tested is whether the effect of a
        phenotype changes with it, by their product, adjusted for both.
    filter_level : float or None
        With `modifier`: test phenotypes alone whose own effect has a Benjamini-Hochberg value
        of at most this. Where the modifier was randomised, the test of the product does not
        depend on that filter, and the others cost it no power.
    families : mapping of str to str or None
        Family of each phenotype for the hierarchical q-value; its spec's ``family`` where None.
    standardise : bool, default True
        Effects per standard deviation of the phenotype (0/1 phenotypes stay as they are).
    min_n : int, default 10
        Fewest complete samples of a tested phenotype.
    min_group : int, default 3
        Fewest samples in either class of a 0/1 side, and fewest events.
    confidence : float, default 0.95
        Coverage of the intervals.

    Returns
    -------
    AssociationResult
        One row a phenotype; ``omics`` holds the outcome's name, ``layer`` is "outcome", and
        ``n_group1`` the number of events or of samples with outcome 1.

    Raises
    ------
    InputError
        If the test does not fit the outcome, or cannot adjust for the covariates given.
    AlignmentError
        If ids are repeated or too few samples match.

    Notes
    -----
    P-values of logistic, ordinal and Cox models come from the score test of the model with the
    covariates alone, with a t reference: it keeps its level with few events. Effects (log odds
    or log hazard ratios) and intervals come from the model with the phenotype.

    References
    ----------
    Dai et al. (2012), Biometrika 99, 929-944 (filtering on the own effect).

    Examples
    --------
    >>> ids = [f"s{i}" for i in range(20)]
    >>> images = PhenotypeTable.from_frame({"sample": ids, "volume": np.arange(20.0)})
    >>> age = Outcome("age", "continuous", ids, 3 * np.arange(20.0) + np.tile([0, 1], 10))
    >>> float(screen(images, age, standardise=False).table["effect"][0].__round__(2))
    3.01
    """
    name = _AUTO[outcome.kind] if test == "auto" else test
    require_choice(name, _FITTING[outcome.kind], what=f"test of a {outcome.kind} outcome")
    if covariates is not None and name in ("mann_whitney", "fisher", "jonckheere", "kruskal"):
        raise InputError(f"test={name!r} cannot adjust for covariates.")
    _check_modifier(modifier, filter_level, covariates, name)
    if isinstance(phenotypes, OmicsTable):
        phenotypes = _as_phenotypes(phenotypes)
    tables: dict[str, Sequence[str]] = {"images": phenotypes.samples, "outcome": outcome.samples}
    if covariates is not None:
        tables["covariates"] = covariates.samples
    alignment = align(tables, need=3)
    rows = alignment.rows
    z = None if covariates is None else covariates.values[rows["covariates"]]
    y = outcome.values[rows["outcome"]]
    keep = np.isfinite(y)
    reasons = dict(alignment.dropped.select("sample", "absent_from").iter_rows())
    reasons = {sample: f"absent from {absent}" for sample, absent in reasons.items()}
    _note(reasons, alignment.samples, ~keep, "the outcome is missing")
    if z is not None:
        complete = np.isfinite(z).all(axis=1)
        _note(reasons, alignment.samples, keep & ~complete, "a covariate is missing")
        keep &= complete
        z = z[keep]
    if keep.sum() < 3:
        raise InputError(f"Only {int(keep.sum())} samples have outcome and covariates.")
    x, beyond = without_sentinels(phenotypes.values[rows["images"]][keep])
    if standardise:
        x = scaled(x, ~_pairs.is_binary(x))
    events = None if outcome.events is None else outcome.events[rows["outcome"]][keep]
    sides = (name, y[keep], events, x)
    block = _block(*sides, z, confidence=confidence)
    if modifier is not None and covariates is not None and z is not None:
        place = covariates.names.index(modifier)
        passed = block
        block = _modified(*sides, z, place, confidence=confidence)
        if filter_level is not None:
            own = multiplicity.bh(from_log10p(passed.log10p[:, 0]))[:, None]
            block = block.refuse(~(own <= filter_level) & (block.code == 0), _pairs.FILTERED)
    count = n_effective(x, [y[keep][:, None]])
    frame = assemble(
        [
            Piece(
                np.arange(phenotypes.n_phenotypes),
                np.array([0]),
                name,
                "outcome ~ phenotype" if modifier is None else "outcome ~ phenotype x modifier",
                _limits(block, x, y[keep], events, min_n=min_n, min_group=min_group),
            )
        ],
        Names(phenotypes.names, [outcome.name], ["outcome"], families_of(phenotypes, families)),
        count,
    )
    return AssociationResult(
        frame=frame,
        params={
            "test": test,
            "tests_used": [name],
            "outcome": outcome.name,
            "modifier": modifier,
            "filter_level": filter_level,
            "covariates": list(covariates.names) if covariates is not None else [],
            "layers": ["outcome"],
            "n_phenotypes": phenotypes.n_phenotypes,
            "n_omics": 1,
            "n_families": frame["family"].n_unique(),
            "standardise": standardise,
            "permutations": 0,
            "min_n": min_n,
            "min_group": min_group,
            "confidence": confidence,
        },
        n_used=int(keep.sum()),
        dropped=pl.DataFrame(
            {"sample": list(reasons), "reason": list(reasons.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ),
        warnings=(BEYOND.format(beyond, "the phenotypes"),) if beyond else (),
        provenance={"step": "associate.screen", "version": 2},
        summary=tally(frame) | {"n_effective": count},
    )


def _check_modifier(
    modifier: str | None, filter_level: float | None, covariates: Covariates | None, name: str
) -> None:
    if modifier is None:
        if filter_level is not None:
            raise InputError("filter_level goes with modifier.")
        return
    names = () if covariates is None else covariates.names
    if modifier not in names:
        raise InputError(
            f"The modifier {modifier!r} is no covariate. {did_you_mean(modifier, names)}"
        )
    if name not in ("cox", *MODIFIED):
        raise InputError(f"test={name!r} has no effect modifier.")


def _as_phenotypes(layer: OmicsTable) -> PhenotypeTable:
    specs = blank_specs(layer.features).with_columns(family=pl.lit(layer.layer))
    return PhenotypeTable(layer.samples, layer.values, specs, empty_status())


def _modified(  # noqa: PLR0917
    name: str,
    y: Array,
    events: NDArray[np.bool_] | None,
    x: Array,
    z: Array,
    place: int,
    *,
    confidence: float,
) -> PairBlock:
    """Tests of the product of each column and the covariate at `place`."""

    def kernel(
        traits: Array, product: Array, adjusted: Array | None, confidence: float
    ) -> PairBlock:
        rows = traits[:, 0].astype(np.int64)
        flags = None if events is None else events[rows]
        return _block(name, y[rows], flags, product, adjusted, confidence=confidence)

    # Traits are row numbers: the kernel takes outcome and events of the rows it is given.
    numbers = np.arange(len(y), dtype=np.float64)[:, None]
    rest = np.delete(z, place, axis=1)
    return interaction_block(
        kernel,
        numbers,
        x,
        rest if rest.shape[1] else None,
        modifier=z[:, place],
        confidence=confidence,
    )


def _block(
    name: str,
    y: Array,
    events: NDArray[np.bool_] | None,
    x: Array,
    z: Array | None,
    *,
    confidence: float,
) -> PairBlock:
    if name == "cox":
        assert events is not None
        return cox_block(y, events, x, z, confidence)
    if name in ("mann_whitney", "jonckheere", "kruskal"):
        # The phenotype is what is ranked, the outcome makes the groups.
        return KERNELS[name](x, y[:, None], z, confidence).transposed()
    return KERNELS[name](y[:, None], x, z, confidence)


def _limits(
    block: PairBlock,
    x: Array,
    y: Array,
    events: NDArray[np.bool_] | None,
    *,
    min_n: int,
    min_group: int,
) -> PairBlock:
    """Refuse phenotypes with too few samples, events or samples of either class."""
    from dataclasses import replace

    known = np.isfinite(x).astype(np.float64)
    small = np.zeros(block.n.shape, dtype=bool)
    group = block.n_group1
    flags = events if events is not None else (y == 1 if np.isin(y, (0, 1)).all() else None)
    if flags is not None:
        group = (known.T @ flags.astype(np.float64))[:, None]
        fewest = group if events is not None else np.minimum(group, block.n - group)
        small |= fewest < min_group
    binary = _pairs.group_sizes(x, np.isfinite(y)[:, None])
    small |= np.fmin(binary, block.n - binary) < min_group
    block = replace(block, n_group1=group)
    block = block.refuse(small & (block.code == 0), _pairs.TOO_FEW_CARRIERS)
    return block.refuse(
        (block.n < min_n) & (block.code != _pairs.TOO_FEW_CARRIERS), _pairs.TOO_FEW_SAMPLES
    )


def _note(
    reasons: dict[str, str], samples: Sequence[str], where: NDArray[np.bool_], why: str
) -> None:
    for row in np.flatnonzero(where):
        reasons.setdefault(samples[row], why)
