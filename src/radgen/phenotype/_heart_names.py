"""How tables name the traits of the heart, among them the fields of UK Biobank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["BODY", "SIZES", "TRAITS", "Recognised", "Trait", "recognised"]


class Trait(NamedTuple):
    """A trait: its unit, whether it is above 0, its fields of UK Biobank, other names."""

    unit: str
    positive: bool
    fields: tuple[int, ...]
    names: tuple[str, ...]


TRAITS: dict[str, Trait] = {
    "lv_edv_ml": Trait("mL", True, (24100, 22421), ("lvedv", "lvenddiastolicvolume")),
    "lv_esv_ml": Trait("mL", True, (24101, 22422), ("lvesv", "lvendsystolicvolume")),
    "lv_sv_ml": Trait("mL", True, (24102, 22423), ("lvsv", "lvstrokevolume")),
    "lv_ef_percent": Trait("%", True, (24103, 22420), ("lvef", "lvejectionfraction")),
    "lv_co_l_min": Trait("L/min", True, (24104, 22424), ("lvco", "lvcardiacoutput")),
    "lv_mass_g": Trait("g", True, (24105,), ("lvm", "lvmass", "lvmyocardialmass")),
    "lv_mass_volume_g_ml": Trait("g/mL", True, (), ("lvmvr", "lvmassvolumeratio")),
    "lv_wall_mm": Trait("mm", True, (24140,), ("lvwt", "lvwallthickness", "lvmeanwallthickness")),
    "lv_wall_max_mm": Trait("mm", True, (), ("lvmwt", "lvmaxwallthickness")),
    "lv_circumferential_strain_percent": Trait("%", False, (24157,), ("lvgcs", "gcs", "ecc")),
    "lv_radial_strain_percent": Trait("%", False, (24174,), ("lvgrs", "grs", "err")),
    "lv_longitudinal_strain_percent": Trait("%", False, (24181,), ("lvgls", "gls", "ell")),
    "rv_edv_ml": Trait("mL", True, (24106,), ("rvedv", "rvenddiastolicvolume")),
    "rv_esv_ml": Trait("mL", True, (24107,), ("rvesv", "rvendsystolicvolume")),
    "rv_sv_ml": Trait("mL", True, (24108,), ("rvsv", "rvstrokevolume")),
    "rv_ef_percent": Trait("%", True, (24109,), ("rvef", "rvejectionfraction")),
    "la_max_ml": Trait("mL", True, (24110,), ("lavmax", "lamaximumvolume")),
    "la_min_ml": Trait("mL", True, (24111,), ("lavmin", "laminimumvolume")),
    "la_sv_ml": Trait("mL", True, (24112,), ("lasv", "lastrokevolume")),
    "la_ef_percent": Trait("%", True, (24113,), ("laef", "laejectionfraction")),
    "ra_max_ml": Trait("mL", True, (24114,), ("ravmax", "ramaximumvolume")),
    "ra_min_ml": Trait("mL", True, (24115,), ("ravmin", "raminimumvolume")),
    "ra_sv_ml": Trait("mL", True, (24116,), ("rasv", "rastrokevolume")),
    "ra_ef_percent": Trait("%", True, (24117,), ("raef", "raejectionfraction")),
    "aorta_ascending_max_mm2": Trait("mm2", True, (24118,), ("ascendingaortamaximumarea",)),
    "aorta_ascending_min_mm2": Trait("mm2", True, (24119,), ("ascendingaortaminimumarea",)),
    "aorta_ascending_distensibility": Trait(
        "1e-3/mmHg", True, (24120,), ("ascendingaortadistensibility",)
    ),
    "aorta_descending_max_mm2": Trait("mm2", True, (24121,), ("descendingaortamaximumarea",)),
    "aorta_descending_min_mm2": Trait("mm2", True, (24122,), ("descendingaortaminimumarea",)),
    "aorta_descending_distensibility": Trait(
        "1e-3/mmHg", True, (24123,), ("descendingaortadistensibility",)
    ),
}
BODY = {"height_cm": "cm", "weight_kg": "kg", "bsa_m2": "m2", "heart_rate_bpm": "1/min"}
SIZES = tuple(
    name
    for name, trait in TRAITS.items()
    if trait.unit in ("mL", "g", "L/min") or (name.startswith("aorta") and trait.unit == "mm2")
)
"""Traits that grow with the body."""

_BODY_FIELDS = {"height_cm": (50,), "weight_kg": (21002,), "bsa_m2": (22427,)}
_BODY_FIELDS["heart_rate_bpm"] = (22426,)
_BODY_NAMES = {
    "height_cm": ("height", "standingheight"),
    "weight_kg": ("weight",),
    "bsa_m2": ("bsa", "bodysurfacearea"),
    "heart_rate_bpm": ("heartrate", "hr", "averageheartrate"),
}
_UNITS = {
    "mL": {"ml": 1.0, "cm3": 1.0, "cc": 1.0, "l": 1000.0, "mm3": 0.001},
    "g": {"g": 1.0, "kg": 1000.0},
    "%": {"percent": 1.0, "pct": 1.0},
    "mm": {"mm": 1.0, "cm": 10.0},
    "mm2": {"mm2": 1.0, "cm2": 100.0},
    "L/min": {"lmin": 1.0, "lpermin": 1.0},
    "cm": {"cm": 1.0, "m": 100.0},
    "kg": {"kg": 1.0},
    "m2": {"m2": 1.0},
    "1/min": {"bpm": 1.0},
    "g/mL": {"gml": 1.0},
    "1e-3/mmHg": {},
}
"""What a unit at the end of a name is multiplied with."""

_FIELD = re.compile(r"(?:^(?:f\.?|p|x)?|_f)(\d{2,5})(?:[._-]i?(\d+))?(?:[._-]a?(\d+))?$")


class Place(NamedTuple):
    """A column, and what makes its values those of the trait's unit."""

    column: str
    factor: float


class Recognised(NamedTuple):
    """Where each trait and body size stands, and what a reader must know."""

    at: dict[str, Place]
    notes: tuple[str, ...]


def recognised(columns: Sequence[str], instance: int) -> Recognised:
    """Return the columns that hold traits of the heart or sizes of the body.

    Parameters
    ----------
    columns : sequence of str
        Names of a table.
    instance : int
        Visit of UK Biobank; a field without a visit is taken, too.
    """
    at: dict[str, Place] = {}
    notes = []
    units = {name: trait.unit for name, trait in TRAITS.items()} | BODY
    for name, unit in units.items():
        fields = TRAITS[name].fields if name in TRAITS else _BODY_FIELDS[name]
        others = TRAITS[name].names if name in TRAITS else _BODY_NAMES[name]
        known = _spellings(name, others, unit)
        places = [Place(one, known[_plain(one)]) for one in columns if _plain(one) in known]
        for number in fields:
            places += [Place(one, 1.0) for one in columns if _is_field(one, number, instance)]
        if places:
            at[name] = places[0]
        if len(places) > 1:
            rest = ", ".join(repr(place.column) for place in places[1:])
            notes.append(f"{name} is taken from column {places[0].column!r}, not from {rest}.")
    return Recognised(at, tuple(notes))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _spellings(name: str, others: Sequence[str], unit: str) -> dict[str, float]:
    """Return small letters of the names of a trait, with and without a unit, and its factor."""
    found = {_plain(name): 1.0}
    for other in others:
        found[other] = 1.0
        found |= {other + word: factor for word, factor in _UNITS[unit].items()}
    return found


def _is_field(name: str, number: int, instance: int) -> bool:
    found = _FIELD.search(name.strip().lower())
    if found is None or int(found[1]) != number:
        return False
    return found[2] is None or int(found[2]) == instance
