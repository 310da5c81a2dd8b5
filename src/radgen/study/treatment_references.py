"""Check what [[treatment]] names: the arm and its two values, markers, layers."""

from __future__ import annotations

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import shown
from radgen.study._toml import Location
from radgen.study.gather import Gathered
from radgen.study.schema.treatment import TreatmentSettings

__all__ = ["check_treatments"]

_ARMS = 2


def check_treatments(found: Gathered) -> None:
    """Note a problem for each arm without two values and each name that means two things."""
    for place, item in enumerate(found.settings.treatment):
        at: Location = ("treatment", place)
        _arm(found, at, item)
        for key in ("clinical", "covariates", "confounders"):
            for name in getattr(item, key):
                if name == item.arm:
                    found.complain((*at, key), f"{name!r} is the treatment.")
                if name == item.outcome:
                    found.complain((*at, key), f"{name!r} is the outcome.")
        for name in item.layers:
            if name not in found.settings.omics:
                near = did_you_mean(name, found.settings.omics)
                found.complain((*at, "layers"), f"No molecular layer is named {name!r}.", near)
            elif item.rule and found.settings.omics[name].gene_sets is not None:
                found.complain(
                    (*at, "layers"),
                    f"The layer {name!r} holds scores of gene sets, which are scaled over all "
                    "samples: in a rule the patients left out would take part in training.",
                    "Name a layer without gene_sets, or leave rule out.",
                )


def _arm(found: Gathered, at: Location, item: TreatmentSettings) -> None:
    settings = found.sheet.columns.get(item.arm)
    if settings is None:
        return
    if settings.type not in ("category", "binary"):
        found.complain(
            (*at, "arm"),
            f"{item.arm!r} is a {settings.type}; a treatment is a category of two values.",
            f'Declare {item.arm} = "category" in [clinical.columns].',
        )
        return
    samples = found.sheet.select(item.where) if _known(found, item) else set(found.sheet.samples)
    rows = found.sheet.frame.filter(pl.col("sample").is_in(samples))
    levels = sorted(rows[item.arm].drop_nulls().unique().to_list())
    if len(levels) != _ARMS:
        found.complain(
            (*at, "arm"),
            f"{item.arm!r} has {len(levels)} values ({shown(levels)}); two arms are needed.",
            f'Choose two: where = {{ {item.arm} = ["…", "…"] }}.',
        )
    elif item.control is not None and item.control not in levels:
        near = did_you_mean(item.control, levels)
        found.complain((*at, "control"), f"{item.arm!r} has no value {item.control!r}.", near)


def _known(found: Gathered, item: TreatmentSettings) -> bool:
    return all(name in found.sheet.columns for name in item.where)
