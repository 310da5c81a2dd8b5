"""From lists of somatic mutations to hotspots, pathways and mutational burden."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from radgen.errors import InputError, shown
from radgen.io.maf import PROTEIN_CHANGING, Panel, blank_untested
from radgen.types import OmicsTable

__all__ = ["call_hotspots", "call_pathways", "covered_genes", "mutation_burden"]

_HOTSPOT = re.compile(r"^(\S+)\s+(?:p\.)?([A-Z*])(\d+)(?:_([A-Z*])?(\d+))?([A-Za-z*=]*)$")


def call_hotspots(
    mutations: pl.DataFrame,
    hotspots: Sequence[str],
    sequenced: Collection[str] | None = None,
    *,
    panel: Panel = None,
) -> OmicsTable:
    """Return which samples carry which hotspot mutation.

    Parameters
    ----------
    mutations : polars.DataFrame
        ``sample, gene, protein_change``, a row a mutation (`radgen.io.read_mutations`).
    hotspots : sequence of str
        "IDH1 R132H" is that change; "KRAS G12" any change of the codon.
    sequenced : collection of str or None
        All samples that were sequenced; None = those of the table.
    panel : collection of str, mapping of sample to genes, or None
        Genes that the assay covers; None = all.

    Returns
    -------
    OmicsTable
        1 = carries it, 0 = covered and does not, NaN = the gene was not tested.

    Raises
    ------
    InputError
        If a hotspot is not written so, the table has no protein changes, or mutated samples
        are not among those sequenced.

    Examples
    --------
    >>> table = pl.DataFrame({"sample": ["a", "b"], "gene": ["KRAS", "KRAS"],
    ...                       "protein_change": ["p.G12D", "p.Q61H"]})
    >>> call_hotspots(table, ["KRAS G12", "KRAS Q61H"]).values.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if "protein_change" not in mutations.columns:
        raise InputError("The mutations have no protein changes (HGVSp_Short of a MAF).")
    samples = _samples(mutations, sequenced)
    values = np.zeros((len(samples), len(hotspots)))
    row = {sample: place for place, sample in enumerate(samples)}
    wanted = [_hotspot(text) for text in hotspots]
    blank_untested(values, samples, [gene for gene, _ in wanted], panel)
    for sample, gene, change in mutations.select("sample", "gene", "protein_change").iter_rows():
        text = (change or "").removeprefix("p.")
        for column, (wanted_gene, pattern) in enumerate(wanted):
            if gene == wanted_gene and pattern.match(text):
                values[row[sample], column] = 1.0
    return OmicsTable(tuple(samples), tuple(hotspots), values, "mutation", "binary")


def _hotspot(text: str) -> tuple[str, re.Pattern[str]]:
    match = _HOTSPOT.match(text.strip())
    if match is None:
        raise InputError(f"{text!r} is no hotspot; write KRAS G12, or IDH1 R132H.")
    gene, residue, number, _, _, change = match.groups()
    start = re.escape(residue) + number
    # A codon's pattern must not take a longer number: G1 is not G12.
    return gene, re.compile(start + (re.escape(change) + "$" if change else r"(?!\d)"))


def call_pathways(
    genes: OmicsTable, pathways: Mapping[str, Sequence[str]], *, min_genes: int = 1
) -> OmicsTable:
    """Return which samples have a mutation in any gene of a pathway.

    Parameters
    ----------
    genes : OmicsTable
        Gene-level calls: 1, 0, NaN = not tested. They must hold genes without a mutation too
        (``genes=`` of `radgen.io.call_genes`), or a pathway cannot be called unmutated.
    pathways : mapping of str to sequence of str
        Genes of each pathway.
    min_genes : int, default 1
        Pathways with fewer genes in the table are left out.

    Returns
    -------
    OmicsTable
        1 = a gene is mutated; 0 = all genes of the pathway were tested and none is; NaN else.

    Raises
    ------
    InputError
        If no pathway shares genes with the table.
    """
    place = {name: column for column, name in enumerate(genes.features)}
    names, columns = [], []
    for name, members in pathways.items():
        own = [place[gene] for gene in members if gene in place]
        if len(own) < max(min_genes, 1):
            continue
        part = genes.values[:, own]
        mutated = (part == 1).any(axis=1)
        whole = len(own) == len(set(members))
        clear = (part == 0).all(axis=1) & whole
        names.append(name)
        columns.append(np.where(mutated, 1.0, np.where(clear, 0.0, np.nan)))
    if not names:
        raise InputError(f"No pathway shares genes with the calls ({shown(genes.features, 3)}).")
    values = np.column_stack(columns)
    return OmicsTable(genes.samples, tuple(names), values, "mutation", "binary")


def covered_genes(depth: OmicsTable, least: float) -> dict[str, tuple[str, ...]]:
    """Return which genes were read deeply enough in each sample.

    Parameters
    ----------
    depth : OmicsTable
        Mean depth of each gene, or the share of its bases above a depth; NaN = not covered.
    least : float
        Smallest value at which a gene without a mutation counts as wild-type.

    Returns
    -------
    dict of str to tuple of str
        Genes by sample, as `radgen.io.read_maf`, `radgen.io.call_genes` and `call_hotspots` take
        them for `panel`.

    Examples
    --------
    >>> depth = OmicsTable(("a", "b"), ("TP53", "IDH1"), [[90, 12], [40, 55]], "other", "depth")
    >>> covered_genes(depth, 30)
    {'a': ('TP53',), 'b': ('TP53', 'IDH1')}
    """
    enough = depth.values >= least
    return {
        sample: tuple(name for name, yes in zip(depth.features, row, strict=True) if yes)
        for sample, row in zip(depth.samples, enough, strict=True)
    }


def mutation_burden(
    mutations: pl.DataFrame,
    sequenced: Collection[str] | None = None,
    *,
    megabases: float | Mapping[str, float],
    classes: Collection[str] = PROTEIN_CHANGING,
) -> OmicsTable:
    """Return the tumour mutational burden: counted mutations per megabase.

    Parameters
    ----------
    mutations : polars.DataFrame
        ``sample, consequence`` and position or change, a row a mutation; rows that are equal in
        all columns are one mutation.
    sequenced : collection of str or None
        All samples that were sequenced (a sample without a mutation has burden 0); None = those
        of the table.
    megabases : float or mapping of str to float
        Size of the assay in 10⁶ bases, of all or of each sample: about 30 to 38 of an exome; a
        panel's size is in its description.
    classes : collection of str
        Variant classes that are counted.

    Returns
    -------
    OmicsTable
        One feature "TMB", scale "per Mb"; NaN = the size is not known.

    Raises
    ------
    InputError
        If a size is not positive, or mutated samples are not among those sequenced.

    Notes
    -----
    Burdens of panels below about 1 Mb are inaccurate, and panels that are enriched in driver
    genes overestimate it.

    References
    ----------
    Merino et al. (2020), J. Immunother. Cancer 8, e000147.

    Examples
    --------
    >>> table = pl.DataFrame({"sample": ["a", "a"], "pos": [10, 20],
    ...                       "consequence": ["Missense_Mutation", "Silent"]})
    >>> mutation_burden(table, ["a", "b"], megabases=2).values[:, 0].tolist()
    [0.5, 0.0]
    """
    samples = _samples(mutations, sequenced)
    sizes = [
        megabases.get(sample, np.nan) if isinstance(megabases, Mapping) else float(megabases)
        for sample in samples
    ]
    if any(size <= 0 for size in sizes):
        raise InputError("The size of an assay is positive, in megabases.")
    counted = mutations.filter(pl.col("consequence").is_in(list(classes))).unique()
    counts = dict(counted.group_by("sample").len().iter_rows())
    burden = [counts.get(sample, 0) / size for sample, size in zip(samples, sizes, strict=True)]
    values = np.array(burden, dtype=np.float64)[:, None]
    return OmicsTable(tuple(samples), ("TMB",), values, "mutation", "per Mb")


def _samples(mutations: pl.DataFrame, sequenced: Collection[str] | None) -> list[str]:
    tumours = mutations["sample"].to_list()
    samples = list(dict.fromkeys(tumours if sequenced is None else sequenced))
    unknown = sorted(set(tumours) - set(samples))
    if unknown:
        raise InputError(
            f"{len(unknown)} mutated samples are not in the list of sequenced ones: "
            f"{shown(unknown)}."
        )
    return samples
