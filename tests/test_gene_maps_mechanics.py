"""Names of genes as portals write them: Ensembl ids with versions, Entrez ids behind symbols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import FormatError
from radgen.io import read_gene_map, read_layer
from radgen.io.gene_maps import plain_symbols

GTF = """#!genome-build GRCh38
chr1\tHAVANA\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG00000000003.15"; gene_name "TSPAN6";
chr1\tHAVANA\ttranscript\t1\t9\t.\t+\t.\tgene_id "ENSG00000000003.15"; gene_name "NO";
chr1\tHAVANA\tgene\t20\t29\t.\t+\t.\tgene_id "ENSG00000000005.6"; gene_name "TNMD";
"""
GFF3 = """##gff-version 3
1\thavana\tgene\t1\t9\t.\t+\t.\tID=gene:ENSG00000000003;Name=TSPAN6;biotype=protein_coding
1\thavana\tgene\t20\t29\t.\t+\t.\tID=gene:ENSG00000000005;Name=TNMD;biotype=protein_coding
"""
TABLES = {
    "genes.gtf": GTF,
    "genes.gff3": GFF3,
    "biomart.tsv": "Gene stable ID\tGene name\nENSG00000000003\tTSPAN6\nENSG00000000005\tTNMD\n"
    "ENSG00000000007\t\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_ensembl_ids_of_any_version_become_symbols(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TABLES[name])
    values = np.arange(12.0).reshape(3, 4)
    pl.DataFrame(
        {"gene": ["ENSG00000000003.1", "ENSG00000000005", "ENSG00000000419"]}
        | {f"P{k}": values[:, k] for k in range(4)}
    ).write_csv(tmp_path / "rna.csv")
    layer = read_layer(
        tmp_path / "rna.csv", layer="expression", scale="log2", samples_in="columns",
        gene_map=tmp_path / name,
    )  # fmt: skip
    assert layer.features == ("TSPAN6", "TNMD")
    np.testing.assert_array_equal(layer.values, values[:2].T)


def test_a_map_of_entrez_ids_reads_numbers_as_names(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("Entrez ID,Symbol\n1956,EGFR\n7157,TP53 /// WRAP53\n")
    assert read_gene_map(tmp_path / "map.csv") == {"1956": "EGFR", "7157": "TP53"}


def test_a_table_without_symbols_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("id,length\nENSG1,5\n")
    with pytest.raises(FormatError, match="No column of symbols"):
        read_gene_map(tmp_path / "map.csv")


def test_firehose_matrices_lose_their_second_header_and_entrez_ids(tmp_path: Path) -> None:
    rows = ["Hybridization REF\tP1\tP2\tP3", "gene_id\tnormalized_count\tnormalized_count\tnc",
            "?|100130426\t0\t0\t1", "EGFR|1956\t1\t2\t3", "SLC35E2|728661\t4\t5\t6",
            "SLC35E2|9906\t7\t8\t9"]  # fmt: skip
    (tmp_path / "rna.txt").write_text("\n".join(rows) + "\n")
    layer = read_layer(
        tmp_path / "rna.txt", layer="expression", scale="counts", samples_in="columns"
    )
    assert layer.features == ("?|100130426", "EGFR", "SLC35E2|728661", "SLC35E2|9906")
    np.testing.assert_array_equal(layer.values[:, 1], [1.0, 2.0, 3.0])
    assert plain_symbols(["a|b", "EGFR|1956"]) == ["a|b", "EGFR|1956"]
