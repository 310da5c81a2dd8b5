"""Make the golden values of LD score regression; needs the package `ldsc` 2.0.1 (numpy < 1.25).

Run in this folder: python make_ldsc.py EUR_subset (the PLINK fileset of the reference data).
That release is LDSC 1.0.1 of Bulik-Sullivan and Finucane, turned to Python 3.
"""

import sys

import ldscore.ldscore as ld
import ldscore.parse as ps
import ldscore.regressions as reg
import numpy as np

np.seterr(divide="warn", invalid="warn")
M, PANEL, BLOCKS = 800, 80_000.0, 40
rng = np.random.default_rng(7)
l2 = np.exp(rng.normal(2.5, 1, M)).round(4)
l2[:10] = rng.uniform(-0.5, 0.9, 10).round(4)
weight = (l2 * rng.uniform(0.5, 1, M) + 1).round(4)
n1, n2 = np.full(M, 20000.0), np.full(M, 12000.0)
varying = (n1 * rng.uniform(0.8, 1.2, M)).round()
z = np.empty((M, 2))
for j in range(M):
    at = max(l2[j], 0) / PANEL
    cross = 0.15 + np.sqrt(n1[j] * n2[j]) * 0.2 * at
    c = np.array([[1.05 + n1[j] * 0.4 * at, cross], [cross, 1.02 + n2[j] * 0.3 * at]])
    z[j] = np.linalg.cholesky(c) @ rng.normal(size=2)
z = z.round(5)
z[5] = 9.0, -7.0
np.savetxt(
    "statistics.csv", np.column_stack([l2, weight, varying, z]), delimiter=",",
    header="l2,weight,n_varying,z1,z2", comments="", fmt="%.10g",
)  # fmt: skip


def column(values):
    return np.asarray(values, float).reshape(-1, 1)


rows = []


def heritability(name, fit):
    found = {
        "value": fit.tot, "se": fit.tot_se, "intercept": fit.intercept, "mean": fit.mean_chisq
    }  # fmt: skip
    if not fit.constrain_intercept:
        found |= {"intercept_se": fit.intercept_se, "ratio": fit.ratio, "ratio_se": fit.ratio_se}
    rows.extend((name, what, float(np.ravel(value)[0])) for what, value in found.items())


panel = np.array([[PANEL]])
for name, options in {
    "two_step": {"twostep": 30}, "one_step": {}, "fixed": {"intercept": 1.0}
}.items():  # fmt: skip
    for trait, n in ((0, n1), (1, n2)):
        fit = reg.Hsq(column(z[:, trait] ** 2), column(l2), column(weight), column(n), panel,
                      n_blocks=BLOCKS, **options)  # fmt: skip
        heritability(f"{name}_{trait + 1}", fit)
for name, options in {"varying_two_step": {"twostep": 30}, "varying_one_step": {}}.items():
    fit = reg.Hsq(column(z[:, 0] ** 2), column(l2), column(weight), column(varying), panel,
                  n_blocks=BLOCKS, **options)  # fmt: skip
    heritability(name, fit)
keep = np.arange(M) != 5
both = [column(item[keep]) for item in (z[:, 0], z[:, 1], l2, weight, n1, n2)]
for name, options in {
    "rg_two_step": {"twostep": 30}, "rg_one_step": {},
    "rg_fixed": {"intercept_hsq1": 1.0, "intercept_hsq2": 1.0, "intercept_gencov": 0.0},
}.items():  # fmt: skip
    fit = reg.RG(*both, panel, n_blocks=BLOCKS, **options)
    found = {"rg": fit.rg_ratio, "rg_se": fit.rg_se, "value": fit.gencov.tot,
             "se": fit.gencov.tot_se, "intercept": fit.gencov.intercept}  # fmt: skip
    rows.extend((name, what, float(np.ravel(value)[0])) for what, value in found.items())
with open("results.csv", "w") as stream:
    stream.write("fit,quantity,value\n")
    stream.writelines(f"{a},{b},{c!r}\n" for a, b, c in rows)

# LD scores of the first 500 variants of chromosome 22 of the real panel.
base = sys.argv[1]
snps, people = ps.PlinkBIMFile(base + ".bim"), ps.PlinkFAMFile(base + ".fam")
use = np.flatnonzero(snps.df["CHR"].astype(str) == "22")[:500]
geno = ld.PlinkBEDFile(base + ".bed", len(people.IDList), snps, keep_snps=use)
out = {}
for name, coords, width in (
    ("kb", geno.df[:, 2].astype(float), 1e6), ("variants", np.arange(geno.m), 100.0)
):  # fmt: skip
    geno._currentSNP = 0
    left = ld.getBlockLefts(coords, width)
    out[name] = np.ravel(geno.ldScoreVarBlocks(left, 1))
with open("scores.csv", "w") as stream:
    stream.write("id,kb,variants\n")
    stream.writelines(
        f"{name},{a:.9g},{b:.9g}\n"
        for name, a, b in zip(geno.df[:, 1], out["kb"], out["variants"], strict=True)
    )
