"""Simulate X, Y, MT and pseudo-autosomal variants, and let PLINK 2 (on the path) scan them.

Run in this folder: python sexes.py
"""

import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np

rng = np.random.default_rng(5)
n = 240
sex = rng.integers(1, 3, n)
age = np.round(rng.normal(60, 9, n), 3)
chroms = ["1", "X", "X", "X", "X", "X", "X", "Y", "Y", "MT", "MT", "PAR1"]
pos = [
    1000,
    3000000,
    3000100,
    3000200,
    3000300,
    3000400,
    3000500,
    9000000,
    9000100,
    100,
    200,
    60500,
]
freq = [0.3, 0.3, 0.2, 0.1, 0.4, 0.25, 0.05, 0.3, 0.4, 0.3, 0.2, 0.3]
m = len(chroms)
G = np.full((m, n), -1)
for j in range(m):
    d = rng.binomial(2, freq[j], n)
    if chroms[j] in ("X", "Y", "MT"):
        hap = 2 * rng.binomial(1, freq[j], n)
        if chroms[j] == "X":
            d = np.where(sex == 1, hap, d)
        if chroms[j] == "Y":
            d = np.where(sex == 1, hap, -1)
        if chroms[j] == "MT":
            d = hap
    G[j] = d
# het males on X (two calls), missing
G[2][np.flatnonzero(sex == 1)[:2]] = 1
for j in (3, 8, 10):
    G[j][rng.choice(n, 9, replace=False)] = -1
G[9][3] = 1  # a heteroplasmic call
y = 0.03 * age + 0.5 * (sex == 1) + 0.4 * np.maximum(G[1], 0) + rng.normal(size=n)
y[rng.choice(n, 5, replace=False)] = np.nan
cc = (rng.random(n) < 1 / (1 + np.exp(-(-0.7 + 0.5 * (sex == 2) + 0.3 * np.maximum(G[4], 0))))) + 1
text = {-1: "0 0", 0: "A A", 1: "A C", 2: "C C"}
code = {"X": "23", "Y": "24", "MT": "26"}
sex[11] = 0
names = [f"s{i}" for i in range(n)]
with open("sexes_input.csv", "w", newline="") as stream:
    out = csv.writer(stream, lineterminator="\n")
    out.writerow(["sample", "sex", "age", "volume", "case", *(f"v{j}" for j in range(m))])
    for i in range(n):
        volume = "NA" if np.isnan(y[i]) else round(y[i], 5)
        calls = ["NA" if call < 0 else int(call) for call in G[:, i]]
        out.writerow([names[i], sex[i], age[i], volume, cc[i], *calls])
with open("sexes_variants.csv", "w") as stream:
    stream.write("chrom,pos\n" + "".join(f"{c},{p}\n" for c, p in zip(chroms, pos, strict=True)))
with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    rows = [
        f"{names[i]} {names[i]} 0 0 {sex[i]} -9 " + " ".join(text[int(c)] for c in G[:, i])
        for i in range(n)
    ]
    (folder / "x.ped").write_text("\n".join(rows) + "\n")
    rows = [
        f"{code.get(c, c)} v{j} 0 {p}" for j, (c, p) in enumerate(zip(chroms, pos, strict=True))
    ]
    (folder / "x.map").write_text("\n".join(rows) + "\n")
    rows = [
        f"{a}\t{a}\t{'NA' if np.isnan(v) else round(v, 5)}\t{c}"
        for a, v, c in zip(names, y, cc, strict=True)
    ]
    (folder / "pheno.txt").write_text("FID\tIID\tvolume\tcase\n" + "\n".join(rows) + "\n")
    rows = [f"{a}\t{a}\t{x}" for a, x in zip(names, age, strict=True)]
    (folder / "covar.txt").write_text("FID\tIID\tage\n" + "\n".join(rows) + "\n")
    for model in ("1", "2"):
        command = ["plink2", "--pedmap", "x", "--pheno", "pheno.txt", "--covar", "covar.txt"]
        command += ["--glm", "no-firth", "hide-covar", "cols=+a1freq", "--xchr-model", model]
        subprocess.run([*command, "--out", f"z{model}"], cwd=folder, check=True)
        for trait, kind in (("volume", "linear"), ("case", "logistic")):
            table = (folder / f"z{model}.{trait}.glm.{kind}").read_text()
            Path(f"sexes_{trait}_{model}.tsv").write_text(table)
