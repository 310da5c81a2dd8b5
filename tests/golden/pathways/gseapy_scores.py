"""Golden scores of gseapy 1.3.1 (run in an environment that holds it, in this folder)."""

import gseapy
import pandas as pd

expression = pd.read_csv("log_input.csv", index_col="sample").T
sets = pd.read_csv("sets.csv").groupby("set", sort=False)["gene"].apply(list).to_dict()
found = gseapy.ssgsea(
    data=expression, gene_sets=sets, outdir=None, min_size=1, max_size=100,
    sample_norm_method="rank", correl_norm_type="rank", weight=0.25, threads=1,
).res2d  # fmt: skip
table = found.rename(columns={"Name": "sample", "Term": "set", "NES": "score"})
table.insert(0, "run", "ssgsea")
table[["run", "set", "sample", "score"]].to_csv("gseapy_scores.csv", index=False)
