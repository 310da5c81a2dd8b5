"""Write tensor.csv and gradients.csv with DIPY (1.12.1 did); the tests do not need it."""

import csv
from pathlib import Path

import numpy as np
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel

rng = np.random.default_rng(7)
directions = rng.normal(size=(24, 3))
directions /= np.linalg.norm(directions, axis=1, keepdims=True)
b = np.concatenate([[0.0, 0.0], np.repeat([700.0, 1000.0], 12)])
vectors = np.vstack([np.zeros((2, 3)), directions])
rows = []
for _ in range(40):
    half = rng.normal(size=(3, 3)) * 0.02
    tensor = half @ half.T + np.eye(3) * rng.uniform(2e-4, 1e-3)
    decay = np.exp(-b * np.einsum("ni,ij,nj->n", vectors, tensor, vectors))
    signal = np.abs(800.0 * decay + rng.normal(scale=12.0, size=len(b))).round(3)
    rows.append(signal)
signals = np.array(rows)
table = gradient_table(b, bvecs=vectors, b0_threshold=50)
fit = TensorModel(table, fit_method="WLS", return_S0_hat=True).fit(signals)
with (Path(__file__).parent / "tensor.csv").open("w", newline="") as stream:
    out = csv.writer(stream)
    out.writerow(["FA", "MD", "AD", "RD", *(f"s{i}" for i in range(len(b)))])
    for values in zip(fit.fa, fit.md, fit.ad, fit.rd, *signals.T, strict=True):
        out.writerow([repr(float(x)) for x in values])
with (Path(__file__).parent / "gradients.csv").open("w", newline="") as stream:
    out = csv.writer(stream)
    out.writerow(["b", "x", "y", "z"])
    out.writerows([[repr(float(x)) for x in (u, *v)] for u, v in zip(b, vectors, strict=True)])
