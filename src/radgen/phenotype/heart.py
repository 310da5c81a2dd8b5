"""Traits of the heart as one table: recognised columns, derived traits, indices of body size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.id_names import first_id_name
from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.phenotype._heart_names import BODY, SIZES, TRAITS, recognised
from radgen.types import FrameLike, PhenotypeTable, to_polars
from radgen.types.phenotype import STATUS_COLUMNS, blank_specs

__all__ = ["CardiacTraits", "body_surface_area", "cardiac_traits"]

Floats = NDArray[np.float64]
Formula = Literal["dubois", "mosteller"]

INDICES = ("bsa", "height", "height1.7", "height2.7")
"""Body sizes that traits are divided by: m2, m, and powers of the height in m."""

_APART = 1.0
"""Points of an ejection fraction by which a measured and a derived one may differ."""


@dataclass(frozen=True, eq=False, slots=True)
class CardiacTraits:
    """A trait table of the heart, and the body sizes beside it.

    Attributes
    ----------
    traits : PhenotypeTable
        A row a sample; units stand in the specs, and the status says why a value is missing that
        was given.
    body : PhenotypeTable
        ``height_cm``, ``weight_kg``, ``bsa_m2`` of the same samples, as far as known.
    sources : mapping of str to str
        The column that each measured trait came from.
    notes : tuple of str
        What a reader must know.
    """

    traits: PhenotypeTable
    body: PhenotypeTable
    sources: dict[str, str]
    notes: tuple[str, ...]


def body_surface_area(height_cm: Any, weight_kg: Any, *, formula: Formula = "dubois") -> Floats:
    """Return the surface of bodies, m2.

    Parameters
    ----------
    height_cm, weight_kg : array_like of float (n,)
        NaN = unknown.
    formula : {"dubois", "mosteller"}
        0.007184 height^0.725 weight^0.425, or the root of height weight / 3600.

    Returns
    -------
    ndarray of float64 (n,)
        NaN where a size is unknown or not positive.

    Raises
    ------
    InputError
        If the formula is unknown.

    References
    ----------
    Du Bois D, Du Bois EF (1916), doi:10.1001/archinte.1916.00080130010002;
    Mosteller RD (1987), doi:10.1056/NEJM198710223171717.

    Examples
    --------
    >>> body_surface_area([180.0], [80.0]).round(3), body_surface_area(
    ...     [180.0], [80.0], formula="mosteller"
    ... )
    (array([1.996]), array([2.]))
    """
    require_choice(formula, ("dubois", "mosteller"), what="formula of the body surface")
    height, weight = (_positive(np.asarray(one, float)) for one in (height_cm, weight_kg))
    if formula == "mosteller":
        return np.asarray(np.sqrt(height * weight / 3600.0))
    return np.asarray(0.007184 * height**0.725 * weight**0.425)


def cardiac_traits(
    table: FrameLike,
    *,
    index: Sequence[str] = (),
    formula: Formula = "dubois",
    instance: int = 2,
) -> CardiacTraits:
    """Return the traits of the heart that a table holds or implies.

    Parameters
    ----------
    table : data frame
        A row a sample, with an id column. Columns are recognised by name: radgen's own
        (``lv_edv_ml``), usual short ones (``LVEDV``, ``lv_mass_kg``; volumes in ml, l, cm3, mm3,
        masses in g or kg, heights in cm or m) and fields of UK Biobank as its tools write them
        (``f.24100.2.0``, ``24100-2.0``, ``p24100_i2``). Others are left aside.
    index : sequence of {"bsa", "height", "height1.7", "height2.7"}
        Volumes, masses and outputs are also given divided by these.
    formula : {"dubois", "mosteller"}
        Of the body surface, where it is not measured.
    instance : int, default 2
        Visit of UK Biobank; 2 is the first one with images.

    Returns
    -------
    CardiacTraits

    Raises
    ------
    InputError
        If no trait is recognised, a cell is no number, or an index needs a size that is not there.
    AlignmentError
        If a sample id is repeated.

    Notes
    -----
    Derived where their parts are known and they are not measured: stroke volume EDV - ESV,
    ejection fraction 100 SV / EDV, cardiac output SV heart rate / 1000, mass / volume ratio
    (g/mL), of atria the same from their largest and smallest volume, and the surface of the body.
    A value that no heart has (a volume, mass or thickness not above 0, an end-systolic volume not
    below the end-diastolic one) is missing, its reason in the status, and so is what is derived
    from it. A ratio to body size is no adjustment where a trait grows with another power of it:
    see `AllometricScaler`.

    References
    ----------
    Bai W et al. (2020), doi:10.1038/s41591-020-1009-y (the traits of UK Biobank);
    de Simone G et al. (1992), doi:10.1016/0735-1097(92)90385-Z (height to the power of 2.7).
    """
    for name in index:
        require_choice(name, INDICES, what="index")
    frame = to_polars(table, what="table of cardiac traits")
    key = first_id_name(frame.columns) or next(
        (name for name in frame.columns if name.lower() == "f.eid"), None
    )
    if key is None:
        raise InputError(
            "The table of cardiac traits has no column of sample ids: name it sample, IID, eid or "
            f"subject. Columns: {shown(frame.columns, 10)}."
        )
    found = recognised([name for name in frame.columns if name != key], instance)
    notes = list(found.notes)
    values = {name: _numbers(frame, key, at.column) * at.factor for name, at in found.at.items()}
    if not set(values) & set(TRAITS):
        raise InputError(
            f"No cardiac trait is recognised among the columns {shown(frame.columns, 10)}. Name "
            f"them like {shown(list(TRAITS), 4)}, or as fields of UK Biobank (p24100_i2)."
        )
    if "height_cm" in values and np.nanmedian(values["height_cm"]) < 3:
        values["height_cm"] = 100.0 * values["height_cm"]
        notes.append(f"Heights of column {found.at['height_cm'].column!r} are read as metres.")
    samples = tuple(frame[key].cast(pl.String).to_list())
    status = _impossible(values, samples)
    notes += _derive(values, formula)
    for name in index:
        values |= _indexed(values, name)
    names = [name for name in values if name not in BODY]
    body = [name for name in BODY if name in values and name != "heart_rate_bpm"]
    return CardiacTraits(
        _table(samples, values, names, status),
        _table(samples, values, body, []),
        {name: at.column for name, at in found.at.items()},
        tuple(notes),
    )


def _numbers(frame: pl.DataFrame, key: str, name: str) -> Floats:
    column = frame[name]
    numbers = column.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & column.is_not_null()).arg_true().to_list()
    if column.dtype == pl.String and len(wrong):
        blank = {"", "na", "nan", "."}
        wrong = [row for row in wrong if str(column[row]).strip().lower() not in blank]
    if wrong:
        row = wrong[0]
        raise InputError(
            f"Column {name!r} holds {column[row]!r} for sample {frame[key][row]!r} "
            f"(row {row + 1}); needed is a number, or NA."
        )
    out = np.array(numbers.to_numpy(), float)
    out[~np.isfinite(out)] = np.nan
    return out


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _impossible(values: dict[str, Floats], samples: Sequence[str]) -> list[tuple[str, ...]]:
    """Take out what no heart has; return a status row for each such value."""
    status: list[tuple[str, ...]] = []

    def drop(name: str, bad: NDArray[np.bool_], why: str) -> None:
        rows = np.flatnonzero(bad & np.isfinite(values[name]))
        if len(rows):
            values[name] = np.where(bad, np.nan, values[name])
            if name in TRAITS:
                status.extend((samples[row], name, "undefined", why) for row in rows)

    for name, known in list(values.items()):
        if name in BODY or TRAITS[name].positive:
            drop(name, ~(known > 0), f"{name} is not above 0")
    pairs = (("lv_edv_ml", "lv_esv_ml"), ("rv_edv_ml", "rv_esv_ml"))
    pairs += (("la_max_ml", "la_min_ml"), ("ra_max_ml", "ra_min_ml"))
    for large, small in pairs:
        if large in values and small in values:
            bad = values[small] >= values[large]
            for name in (small, large):
                drop(name, bad, f"{small} is not below {large}")
    return status


def _derive(values: dict[str, Floats], formula: Formula) -> list[str]:
    """Add what follows from what is there; return notes."""
    notes = []

    def add(name: str, derived: Floats) -> None:
        if name in values:
            derived = np.where(np.isfinite(values[name]), values[name], derived)
        values[name] = derived

    for chamber, large, small in (
        ("lv", "edv", "esv"), ("rv", "edv", "esv"), ("la", "max", "min"), ("ra", "max", "min")
    ):  # fmt: skip
        top, low = values.get(f"{chamber}_{large}_ml"), values.get(f"{chamber}_{small}_ml")
        if top is None or low is None:
            continue
        fraction = 100.0 * (top - low) / top
        name = f"{chamber}_ef_percent"
        if name in values:
            apart = np.abs(values[name] - fraction) > _APART
            if apart.any():
                notes.append(
                    f"The measured {name} differs from its volumes by more than {_APART:g} point "
                    f"in {int(apart.sum())} samples; the measured one is kept."
                )
        add(f"{chamber}_sv_ml", top - low)
        add(name, fraction)
    if "lv_sv_ml" in values and "heart_rate_bpm" in values:
        add("lv_co_l_min", values["lv_sv_ml"] * values["heart_rate_bpm"] / 1000.0)
    if "lv_mass_g" in values and "lv_edv_ml" in values:
        add("lv_mass_volume_g_ml", values["lv_mass_g"] / values["lv_edv_ml"])
    if "height_cm" in values and "weight_kg" in values:
        area = body_surface_area(values["height_cm"], values["weight_kg"], formula=formula)
        add("bsa_m2", area)
    return notes


def _indexed(values: dict[str, Floats], index: str) -> dict[str, Floats]:
    """Return traits that grow with the body over a size of it."""
    need = "bsa_m2" if index == "bsa" else "height_cm"
    if need not in values:
        what = "bsa_m2, or height_cm and weight_kg" if index == "bsa" else "height_cm"
        raise InputError(f"The index {index!r} needs a column {what}.")
    power = float(index.removeprefix("height") or 1.0) if index != "bsa" else 1.0
    size = values[need] if index == "bsa" else (values[need] / 100.0) ** power
    return {f"{name}_per_{index}": values[name] / size for name in SIZES if name in values}


def _table(
    samples: tuple[str, ...],
    values: dict[str, Floats],
    names: Sequence[str],
    status: Sequence[tuple[str, ...]],
) -> PhenotypeTable:
    stacked = np.column_stack([values[name] for name in names]) if names else None
    units = [_unit(name) for name in names]
    specs = blank_specs(names).with_columns(
        region=pl.Series([name.split("_")[0] for name in names], dtype=pl.String),
        family=pl.lit("cardiac"),
        unit=pl.Series(units, dtype=pl.String),
    )
    schema = dict.fromkeys(STATUS_COLUMNS, pl.String)
    return PhenotypeTable(
        samples,
        np.empty((len(samples), 0)) if stacked is None else stacked,
        specs,
        pl.DataFrame(list(status), schema=schema, orient="row"),
    )


def _unit(name: str) -> str:
    base, _, index = name.partition("_per_")
    unit = BODY[base] if base in BODY else TRAITS[base].unit
    if not index:
        return unit
    return f"{unit}/m{2 if index == 'bsa' else re.sub('height', '', index)}"
