"""Golden values of gseapy 1.3.1 (run in an environment that holds it, in this folder)."""

import gseapy
import pandas as pd

ranking = pd.read_csv("z.csv").sort_values("z", ascending=False, kind="stable")
sets = pd.read_csv("sets.csv").groupby("set", sort=False)["gene"].apply(list).to_dict()
tables = []
for power in (0, 1, 1.5):
    found = gseapy.prerank(
        rnk=ranking, gene_sets=sets, outdir=None, min_size=1, max_size=100, weight=power,
        permutation_num=100_000, seed=1, threads=1,
    ).res2d  # fmt: skip
    found = found.rename(columns={"Term": "set", "ES": "score", "NES": "nes", "NOM p-val": "p"})
    found.insert(0, "power", power)
    tables.append(found[["power", "set", "score", "nes", "p", "Lead_genes"]])
pd.concat(tables).to_csv("gseapy_prerank.csv", index=False)
