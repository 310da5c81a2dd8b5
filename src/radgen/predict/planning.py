"""What an evaluation does with a design: models to compare, strata, checks of its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.io.moments import day_numbers
from radgen.predict.acquisition import Acquisition, Harmonisation, pooled
from radgen.predict.design import ROLES, Block, Design, build_design
from radgen.predict.engine import FoldTask, ModelPlan
from radgen.predict.fusion import FUSIONS, Fusion
from radgen.predict.giveaways import giveaways
from radgen.predict.learners import Learner, make_learner
from radgen.predict.preprocess import harmoniser
from radgen.predict.reliable import Reliability
from radgen.predict.splits import Split, outer_splits, temporal_splits
from radgen.stats.survival_metrics import support
from radgen.types import Outcome

__all__ = [
    "Setup",
    "check_arrays",
    "check_folds",
    "check_size",
    "make_plans",
    "name_of",
    "pool_small_sites",
    "removal",
    "set_up",
    "strata_of",
    "time_grid",
]

FloatArray = NDArray[np.float64]
_SMALL_SITE = 10
SCHEMES = ("kfold", "leave-site-out", "temporal")


@dataclass(frozen=True, eq=False)
class Setup:
    """An evaluation ready to run.

    Attributes
    ----------
    design : Design
    plans : tuple of ModelPlan
    splits : tuple of Split
    common : mapping
        What all `FoldTask` share.
    params : dict
        Settings as plain values.
    notes : list of str
    """

    design: Design
    plans: tuple[ModelPlan, ...]
    splits: tuple[Split, ...]
    common: Mapping[str, Any]
    params: dict[str, Any]
    notes: list[str]

    @property
    def primary(self) -> str:
        """Name of the model with most blocks."""
        return self.plans[-1].name

    def tasks(self) -> list[FoldTask]:
        """Return one task a fold."""
        return [
            FoldTask(split=s, target=self.design.target, plans=self.plans, **self.common)
            for s in self.splits
        ]


def set_up(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    groups: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    model: Any = "auto",
    selection: Any = None,
    n_selected: int = 20,
    harmonise: Any = None,
    scheme: str = "kfold",
    order: Mapping[str, Any] | None = None,
    folds: int = 5,
    repeats: int = 5,
    inner_folds: int = 5,
    baselines: bool = True,
    volume: str | None = None,
    fusion: Fusion | Sequence[Fusion] = "early",
    missing_blocks: str = "drop",
    reliability: Reliability | None = None,
    horizon: float | None = None,
) -> Setup:
    """Return an evaluation ready to run; `radgen.predict.evaluate` explains the arguments.

    Raises
    ------
    InputError, AlignmentError
        As `radgen.predict.evaluate`.
    """
    require_choice(scheme, SCHEMES, what="scheme")
    require_choice(missing_blocks, ("drop", "keep"), what="missing_blocks")
    hows: tuple[Fusion, ...] = (fusion,) if isinstance(fusion, str) else tuple(fusion)
    for how in hows:
        require_choice(how, FUSIONS, what="fusion")
    design = build_design(
        blocks, outcome, groups=groups, sites=sites, roles=roles, keep=missing_blocks == "keep"
    )
    name, learner = make_learner(model, design.kind)
    check_arrays(design, learner, name, harmonise=harmonise, keep=missing_blocks == "keep")
    notes = [*design.notes, *giveaways(design)]
    remover, place = removal(
        harmonise, design, notes, adapt=scheme != "kfold", pool=scheme == "kfold"
    )
    needs = "invariant" in name_of(selection).lower()
    if needs and design.sites is None and place is None:
        raise InputError("Invariant selection needs the site of each sample: pass sites.")
    sites = design.sites if place is None else place.labels
    check_size(design, folds if scheme == "kfold" else 2, notes)
    design_blocks, plans = make_plans(design, baselines, volume, hows)
    strata = strata_of(design, None if place is None else place.labels)
    times, when = time_grid(design, horizon)
    if scheme == "temporal":
        splits = temporal_splits(_moments(design, order), design.patients, folds=folds)
        repeats = 1
    else:
        splits = outer_splits(
            strata, design.patients, folds=folds, repeats=repeats, seed=seed, sites=design.sites,
            leave_site_out=scheme == "leave-site-out",
        )  # fmt: skip
    check_folds(design, splits)
    common = {
        "blocks": design_blocks, "kind": design.kind, "patients": design.patients,
        "strata": strata, "sites": design.sites or sites, "learner": learner,
        "selection": selection, "n_selected": n_selected, "harmoniser": remover,
        "inner_folds": inner_folds, "seed": seed, "times": times, "horizon": when, "place": place,
        "repeats": {} if reliability is None else reliability.for_blocks(design),
    }  # fmt: skip
    params = {
        "model": name, "scheme": scheme, "folds": folds, "repeats": repeats,
        "inner_folds": inner_folds, "selection": name_of(selection), "n_selected": n_selected,
        "harmonise": name_of(harmonise), "seed": seed, "horizon": when, "blocks": list(blocks),
        "fusion": list(hows), "missing_blocks": missing_blocks,
        "reliability": "" if reliability is None else reliability.words(),
    }  # fmt: skip
    return Setup(design, plans, splits, common, params, notes)


def check_arrays(
    design: Design, learner: Learner, name: str, *, harmonise: Any = None, keep: bool = False
) -> None:
    """Refuse crops and bags that the model cannot read, or that a step cannot change.

    Raises
    ------
    InputError
        Says which models read them, or which option to leave out.
    """
    reads = getattr(learner, "reads", ("table",))
    for block in design.blocks:
        if block.layout == "table":
            continue
        if block.layout not in reads:
            use = {"crops": "image_network, slice_network", "bags": "attention, bag_of_cells"}
            raise InputError(
                f"Block {block.name!r} holds {block.layout}, which the model {name} cannot read. "
                f"Use one of {use[block.layout]}."
            )
        if harmonise is not None and name_of(harmonise) != "none":
            raise InputError(
                f"Block {block.name!r} holds {block.layout}: only tables can be harmonised. Leave "
                "harmonise out; the standardisation of each crop is all that is done."
            )
        if keep:
            raise InputError(
                f"Block {block.name!r} holds {block.layout}: what a sample lacks cannot be "
                'imputed. Use missing_blocks="drop".'
            )


def removal(
    harmonise: Any, design: Design, notes: list[str], *, adapt: bool, pool: bool
) -> tuple[Any, Acquisition | None]:
    """Return the estimator that removes site effects and what it knows of each row, or None.

    Parameters
    ----------
    harmonise : None, str, Harmonisation or estimator
        As in `radgen.predict.evaluate`.
    design : Design
        Matched rows.
    notes : list of str
        Where it is said which small sites were put together.
    adapt : bool
        Policy for new sites where none is stated.
    pool : bool
        Put small sites together.

    Raises
    ------
    InputError
        If the sites are not known.
    """
    if harmonise is None or (isinstance(harmonise, str) and harmonise == "none"):
        return None, None
    if isinstance(harmonise, Harmonisation):
        columns, place = harmonise.rows(design.samples)
        names = columns.batch
    elif design.sites is None:
        raise InputError("Harmonisation needs the site of each sample: pass sites.")
    else:
        place, names = Acquisition.of_sites(design.sites), ("site",)
    remover = harmoniser(harmonise, leave_site_out=adapt, n_covariates=place.kept.shape[1])
    return remover, pooled(place, names, pool_small_sites, notes) if pool else place


def _moments(design: Design, order: Mapping[str, Any] | None) -> FloatArray:
    """Return the time of each row as a number."""
    if order is None:
        raise InputError('scheme="temporal" needs order: the date or number of each sample.')
    missing = [item for item in design.samples if item not in order or order[item] is None]
    if missing:
        raise InputError(f"{len(missing)} samples have no date: {shown(missing)}.")
    values = [order[item] for item in design.samples]
    if any(isinstance(value, str) for value in values):
        return _dated([str(value) for value in values], design.samples)
    return np.array([float(v.toordinal()) if isinstance(v, date) else float(v) for v in values])


def _dated(texts: Sequence[str], samples: Sequence[str]) -> FloatArray:
    """Return days of a column of dates, or numbers written as text."""
    days, wrong = day_numbers(texts)
    if not wrong:
        return np.array(days, dtype=np.float64)
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        raise InputError(
            f"{len(wrong)} samples have neither a date (2024-05-31) nor a number as their order: "
            f"{shown(samples[k] for k in wrong)}."
        ) from None


def name_of(choice: Any) -> str:
    """Return a choice as words."""
    if choice is None:
        return "none"
    if isinstance(choice, str):
        return choice
    if isinstance(choice, Harmonisation):
        return choice.words()
    if isinstance(choice, list | tuple):
        return ", ".join(type(item).__name__ for item in choice)
    return type(choice).__name__


def pool_small_sites(sites: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    """Return sites, those with few samples put together, and say so in the notes."""
    names, count = np.unique(np.array(sites, dtype=object), return_counts=True)
    small = {str(n) for n, c in zip(names, count, strict=True) if c < _SMALL_SITE}
    if not small:
        return sites
    rest = sum(1 for item in sites if item in small)
    notes.append(
        f"{len(small)} sites with fewer than {_SMALL_SITE} samples ({shown(sorted(small))}) were "
        f"harmonised as one, {rest} samples."
    )
    if rest >= _SMALL_SITE:
        return tuple("small sites" if item in small else item for item in sites)
    largest = str(names[int(np.argmax(count))])
    notes.append(f"Together they are too few and were joined to site {largest}.")
    return tuple(largest if item in small else item for item in sites)


def check_size(design: Design, folds: int, notes: list[str]) -> None:
    """Refuse too few patients for the folds; note few events.

    Raises
    ------
    InputError
        Says how many there are and what to do.
    """
    if design.kind == "binary":
        for level in (0.0, 1.0):
            patients = len(np.unique(design.patients[design.target == level]))
            if patients < max(folds, 2):
                raise InputError(
                    f"Outcome {design.outcome_name!r}: {patients} patients have the value "
                    f"{level:g}, fewer than the {folds} folds. Use fewer folds, or more patients."
                )
    elif design.kind == "censored" and design.n_events < 2 * folds:
        raise InputError(
            f"Outcome {design.outcome_name!r} has {design.n_events} events; {folds} folds need "
            f"{2 * folds} or more."
        )
    fewer = min(design.n_events, design.n - design.n_events)
    if design.kind == "censored":
        fewer = design.n_events
    if design.kind != "continuous" and fewer < 30:
        notes.append(
            f"Only {fewer} patients in the rarer class or with an event: intervals are wide and "
            "the models unstable."
        )


def check_folds(design: Design, splits: tuple[Split, ...]) -> None:
    """Refuse training sets of one class.

    Raises
    ------
    InputError
        Says how many there are and what to do.
    """
    if design.kind != "binary":
        return
    for split in splits:
        if len(np.unique(design.target[split.train])) < 2:
            raise InputError(
                "A training set has one class only: outcome and site (or patient) coincide. "
                "Such data cannot tell site from outcome."
            )


def make_plans(
    design: Design, baselines: bool, volume: str | None, fusion: Sequence[Fusion] = ("early",)
) -> tuple[tuple[Block, ...], tuple[ModelPlan, ...]]:
    """Return all blocks, and the models of the comparison, the fullest last."""
    plans = [ModelPlan("no information", ())]
    blocks = list(design.blocks)
    names = tuple(block.name for block in blocks)
    by_role = {role: tuple(b.name for b in design.blocks if b.role == role) for role in ROLES}
    present = [role for role in ROLES if by_role[role]]
    found = design.volume(volume) if baselines else None
    if found is not None:
        blocks.append(found)
        plans.append(ModelPlan("volume only", ("volume",)))
    if baselines or len(present) == 1:
        plans += [ModelPlan(f"{role} only", by_role[role]) for role in present]
    if len(present) > 1 or (len(names) > 1 and tuple(fusion) != ("early",)):
        for how in sorted(fusion, key=lambda item: item == "early"):
            alone = len(fusion) == 1 or how == "early"
            plans.append(ModelPlan("combined" if alone else f"combined ({how})", names, how))
    return tuple(blocks), tuple(plans)


def strata_of(design: Design, sites: tuple[str, ...] | None) -> NDArray[np.int64]:
    """Return the stratum of each row: class or event or fifth of the value, and site."""
    if design.kind == "binary":
        label = design.target.astype(int).astype(str)
    elif design.kind == "censored":
        label = design.target[:, 1].astype(int).astype(str)
    else:
        edges = np.quantile(design.target, [0.2, 0.4, 0.6, 0.8])
        label = np.searchsorted(edges, design.target).astype(str)
    if sites is not None:
        label = np.char.add(np.char.add(label, "|"), np.array(sites, dtype=str))
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def time_grid(design: Design, horizon: float | None) -> tuple[FloatArray, float]:
    """Return times of the integrated Brier score, and the horizon."""
    if design.kind != "censored":
        return np.zeros(0), float("nan")
    times = support(design.target[:, 0], design.target[:, 1])
    return times, float(np.median(design.target[:, 0])) if horizon is None else float(horizon)
