"""Check the names that analyses of modules, gene sets, surrogates and signatures use."""

from __future__ import annotations

from radgen._core.naming import did_you_mean
from radgen.errors import RadgenError
from radgen.io.omics import read_gmt
from radgen.study._toml import Location
from radgen.study.gather import Gathered
from radgen.study.schema.treatment import RESPONSE_TIME

__all__ = ["check_gene_sides", "survival_names"]


def check_gene_sides(found: Gathered) -> None:
    """Note a problem for each layer, file, card and outcome that is not there."""
    for section in ("modules", "tree", "enrich", "mask", "surrogate"):
        for place, item in enumerate(getattr(found.settings, section)):
            at: Location = (section, place)
            _layer(found, (*at, "layer"), item.layer)
            if getattr(item, "gene_sets", None):
                path = found.find(item.gene_sets, *at, "gene_sets")
                if path is not None:
                    with found.noting((*at, "gene_sets"), path):
                        read_gmt(path)
    for place, item in enumerate(found.settings.surrogate):
        if item.carry is not None:
            _layer(found, ("surrogate", place, "carry"), item.carry)
        if item.outcome is not None:
            _survival(found, ("surrogate", place, "outcome"), item.outcome)
    for place, card in enumerate(found.settings.signature):
        at = ("signature", place)
        for name in card.layers:
            _layer(found, (*at, "layers"), name)
        _card(found, (*at, "card"), card.card)
        _outcome(found, (*at, "outcome"), card.outcome, card.positive)


def _layer(found: Gathered, at: Location, name: str) -> None:
    known = list(found.settings.omics)
    if name not in known:
        near = did_you_mean(name, known) if known else "Declare it as [omics.<name>]."
        found.complain(at, f"No molecular layer is named {name!r}.", near)


def survival_names(found: Gathered) -> list[str]:
    """Return the names of all survival times, those of [response] too."""
    clinical = found.settings.clinical
    known = [] if clinical is None else list(clinical.survival_names())
    return known if found.settings.response is None else [*known, RESPONSE_TIME]


def _survival(found: Gathered, at: Location, name: str) -> None:
    known = survival_names(found)
    if name not in known:
        near = did_you_mean(name, known) if known else "Add [clinical.survival.<name>]."
        found.complain(at, f"No survival time is named {name!r}.", near)


def _card(found: Gathered, at: Location, name: str) -> None:
    from radgen.omics import card_names, load_card

    if name in card_names():
        return
    if "." not in name and "/" not in name:
        found.complain(at, f"No card is named {name!r}.", did_you_mean(name, card_names()))
        return
    path = found.find(name, *at)
    if path is not None:
        with found.noting(at, path):
            load_card(path)


def _outcome(found: Gathered, at: Location, name: str, positive: str | None) -> None:
    sheet = found.sheet
    clinical = found.settings.clinical
    if name not in sheet.names():
        if clinical is None or not clinical.declares(name):
            known = sheet.names()
            near = did_you_mean(name, known) if known else "Declare it in [clinical]."
            found.complain(at, f"No outcome is named {name!r}.", near)
        return
    try:
        sheet.outcome(name, positive=positive)
    except RadgenError as error:
        found.complain(at, " ".join(str(error).split()))
