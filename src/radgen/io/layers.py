"""Open one molecular layer, whatever program wrote its file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from radgen.errors import InputError
from radgen.io.ids import IdRule
from radgen.io.maf import read_maf
from radgen.io.omics import Duplicates, read_omics
from radgen.types import OmicsTable

__all__ = ["read_layer"]


def read_layer(
    path: str | Path,
    *,
    layer: str,
    scale: str = "",
    samples_in: Literal["auto", "rows", "columns"] = "auto",
    known_samples: Collection[str] = (),
    id_rule: IdRule | None = None,
    duplicates: Duplicates = "error",
    sequenced: Collection[str] | None = None,
    panel: Collection[str] | Mapping[str, Collection[str]] | None = None,
) -> OmicsTable:
    """Return a molecular layer of a mutation list or a matrix.

    Parameters
    ----------
    path : str or Path
        ``.maf``: a list of somatic mutations. Anything else: a matrix, as `read_omics` takes it.
    layer : str
        One of `radgen.types.omics.LAYERS`.
    scale : str, default ""
        What the numbers are ("counts", "log2", …); "" = "binary" for mutations, else "unknown".
    samples_in : {"auto", "rows", "columns"}, default "auto"
        Where samples stand in a matrix.
    known_samples : collection of str
        Ids of the study, for "auto".
    id_rule : IdRule or None
        Applied to sample ids.
    duplicates : {"error", "mean", "maximum", "first"}, default "error"
        What is done with features of the same name in a matrix.
    sequenced : collection of str or None
        Of a mutation list: ids of all samples that were sequenced.
    panel : collection of str, mapping or None
        Of a mutation list: genes that the assay covers.

    Returns
    -------
    OmicsTable
        NaN = not measured.

    Raises
    ------
    InputError
        If an option does not fit the kind of file.
    FormatError
        If the file breaks its format.
    """
    name = Path(path).name.lower().removesuffix(".gz")
    if name.endswith(".maf"):
        if layer != "mutation":
            raise InputError(f"{path}: a MAF file holds mutations, not a layer {layer!r}.")
        return read_maf(path, sequenced=sequenced, panel=panel, id_rule=id_rule)
    if sequenced is not None or panel is not None:
        raise InputError(
            f"{path}: lists of sequenced samples and of a panel are for mutation lists (MAF); this "
            "is a matrix, where an empty cell is what was not tested."
        )
    return read_omics(
        path,
        layer=layer,
        scale=scale or ("binary" if layer == "mutation" else "unknown"),
        samples_in=samples_in,
        known_samples=known_samples,
        id_rule=id_rule,
        duplicates=duplicates,
    )
