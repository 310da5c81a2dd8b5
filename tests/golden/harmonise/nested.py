"""Reference values of OPNested ComBat and ComBat-GAM's linear part. Run in this folder:

    python nested.py FOLDER

FOLDER holds OPNestedComBat.py of hannah-horng/opnested-combat at c7313c7 (its own licence); its
test of differences uses a name it never sets (`ad`), which is set here to True (Anderson-Darling).
Packages: neuroCombat 0.2.12, numpy, pandas, scipy; versions are printed into nested.json.
"""

import json
import sys
import tempfile
from importlib.metadata import version

import numpy as np
import pandas as pd

sys.path.insert(0, sys.argv[1])
import OPNestedComBat as nested

nested.ad = True
rng = np.random.default_rng(5)
n, p = 90, 15
maker, kernel, contrast = rng.integers(0, 3, n), rng.integers(0, 2, n), rng.integers(0, 2, n)
values = rng.normal(size=(n, p)) * (1 + 0.6 * kernel[:, None])
values += rng.normal(size=(3, p))[maker] + 1.5 * rng.normal(size=(2, p))[kernel]
values += np.where(kernel == 1, 1.0, 0.2)[:, None] * rng.normal(size=(2, p))[contrast]
values[:, :3] = np.exp(values[:, :3])
values = values.round(4)
covars = pd.DataFrame({"maker": maker, "kernel": kernel, "contrast": contrast})
pd.DataFrame(values, columns=[f"f{j}" for j in range(p)]).assign(**covars).to_csv(
    "nested_input.csv", index=False
)
data = pd.DataFrame(values.T, index=[f"f{j}" for j in range(p)])
with tempfile.TemporaryDirectory() as folder:
    flat = nested.OPNestedComBat(data, covars, list(covars.columns), folder + "/")
    with open(folder + "/order.txt") as stream:
        order = stream.read().split()
flat.to_csv("nested.csv", index=False, float_format="%.12g")
packages = {k: version(k) for k in ("neuroCombat", "numpy", "pandas", "scipy")}
with open("nested.json", "w") as stream:
    json.dump({"order": order, "packages": packages}, stream, indent=1)
