"""Columns that mrmr_selection and Boruta of PyPI select. Run in this folder: python peers.py

Packages: mrmr-selection 0.2.8, Boruta 0.4.3; versions are written into peers.json.
"""

import json
from importlib.metadata import version

import numpy as np
import pandas as pd
from boruta import BorutaPy
from mrmr import mrmr_classif
from sklearn.ensemble import RandomForestClassifier

rng = np.random.default_rng(7)
n, p = 150, 14
x = rng.normal(size=(n, p))
x[:, 4] = x[:, 0] + 0.4 * rng.normal(size=n)
x[:, 9] = x[:, 1] + 0.6 * rng.normal(size=n)
y = (1.5 * x[:, 0] + 1.5 * x[:, 1] - 1.2 * x[:, 2] + rng.logistic(size=n) > 0).astype(int)
x = x.round(4)
names = [f"f{j}" for j in range(p)]
pd.DataFrame(x, columns=names).assign(y=y).to_csv("input.csv", index=False)
order = mrmr_classif(pd.DataFrame(x, columns=names), pd.Series(y), K=8, show_progress=False)
runs = []
for seed in range(3):
    forest = RandomForestClassifier(max_depth=5, class_weight="balanced", n_jobs=1)
    model = BorutaPy(forest, n_estimators=200, max_iter=100, random_state=seed).fit(x, y)
    runs.append(
        {
            "confirmed": np.flatnonzero(model.support_).tolist(),
            "tentative": np.flatnonzero(model.support_weak_).tolist(),
        }
    )
packages = {k: version(k) for k in ("mrmr-selection", "Boruta", "scikit-learn", "numpy")}
with open("peers.json", "w") as stream:
    json.dump(
        {"mrmr_selection": [names.index(k) for k in order], "boruta": runs, "packages": packages},
        stream,
        indent=1,
    )
