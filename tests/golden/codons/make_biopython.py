"""Codon adaptation by Biopython 1.88: python make_biopython.py (in this folder)."""

import csv

from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from Bio.SeqUtils import CodonAdaptationIndex

with open("genes.csv") as stream:
    genes = list(csv.DictReader(stream))
index = CodonAdaptationIndex([SeqRecord(Seq(row["sequence"])) for row in genes[:4]])
with open("cai.csv", "w") as stream:
    stream.write("name,value\n")
    stream.writelines(f"{codon},{weight:.12g}\n" for codon, weight in sorted(index.items()))
    for row in genes[4:]:
        kept = "".join(
            row["sequence"][k : k + 3]
            for k in range(0, len(row["sequence"]), 3)
            if row["sequence"][k : k + 3] not in ("ATG", "TGG")
        )
        stream.write(f"{row['gene']},{index.calculate(Seq(kept)):.12g}\n")
