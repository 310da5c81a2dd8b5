"""What ``radgen dose`` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from radgen.errors import InputError

if TYPE_CHECKING:
    from radgen.types import ImageVolume

__all__ = ["measure"]


def measure(given: Mapping[str, Any]) -> None:
    """Write a row a region, and its histogram."""
    import polars as pl

    from radgen.cli import _genetics
    from radgen.image import (
        complication_probability,
        dose_volume,
        equivalent_dose,
        equivalent_uniform_dose,
    )
    from radgen.io import read_image, read_masks

    if given["td50"] is not None and given["eud"] is None:
        raise InputError("A complication (--td50) is one of the uniform dose: give --eud, too.")
    dose = _dose(given["dose"])
    if given["fractions"] is not None:
        dose = dose.with_array(
            equivalent_dose(
                dose.array, fractions=given["fractions"], alpha_beta_gy=given["alpha_beta"]
            )
        )
    scan = dose if given["image"] is None else read_image(given["image"])
    levels = [_number(word) for word in given["at_gy"].split(",")]
    rows, curves = [], []
    for region, mask in read_masks(given["masks"], reference=scan).items():
        found = dose_volume(dose, mask)
        row: dict[str, Any] = {"region": region, **found.summary(at_gy=levels)}
        if given["eud"] is not None:
            row["uniform_gy"] = equivalent_uniform_dose(found.doses, given["eud"])
        if given["td50"] is not None:
            row["complication"] = complication_probability(
                row["uniform_gy"], td50_gy=given["td50"], m=given["m"]
            )
        rows.append(row)
        axis, share = found.curve()
        curves.append(pl.DataFrame({"region": region, "dose_gy": axis, "volume_percent": share}))
    _genetics.write_table(pl.DataFrame(rows), given["out"])
    if given["curve"] is not None:
        _genetics.write_table(pl.concat(curves), given["curve"])
    kind = " (EQD2)" if given["fractions"] is not None else ""
    for row in rows:
        typer.echo(
            f"{row['region']}: {row['volume_ml']:.1f} mL, mean {row['mean_gy']:.2f} Gy{kind}, "
            f"D2 {row['D2_gy']:.2f}, D95 {row['D95_gy']:.2f} Gy"
        )
    typer.echo(f"{len(rows)} regions: {given['out']}")


def _dose(path: Path) -> ImageVolume:
    """Return the dose; an image that is no RTDOSE is taken as Gy."""
    from radgen.io import read_image
    from radgen.io.images import image_format

    found = read_image(path)
    if image_format(path) == "dicom":
        return found
    return found.with_array(found.array, quantity="dose", unit="Gy")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--at-gy is doses with commas, 5,20 say; found {text!r}.") from None
