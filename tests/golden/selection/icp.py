"""p-values of causalicp. Run in this folder: python icp.py

Packages: causalicp 0.1.1; versions are written into icp.json.
"""

import json
from importlib.metadata import version

import causalicp
import numpy as np

found = {"packages": {k: version(k) for k in ("causalicp", "numpy", "scipy")}}
for name, n_places in (("two", 2), ("three", 3)):
    rng = np.random.default_rng(n_places)
    n = 80
    place = np.repeat(np.arange(n_places), n)
    total = n * n_places
    a = rng.normal(size=total) * (1 + 0.7 * place)
    b = 0.5 * a + rng.normal(size=total) + place
    y = 1.2 * a - b + rng.normal(size=total)
    effect = y + rng.normal(size=total) * (1 + place) + place
    table = np.column_stack((a, b, effect, a + rng.normal(size=total), y)).round(5)
    head = "a,b,effect,relative,y,place"
    np.savetxt(
        f"icp_{name}.csv", np.column_stack((table, place)), "%.5f", ",", header=head, comments=""
    )
    result = causalicp.fit([table[place == k] for k in range(n_places)], 4, alpha=0.05)
    sets = list(result.accepted_sets) + list(result.rejected_sets)
    p = {}
    for columns in sets:
        data = causalicp.icp._Data([table[place == k] for k in range(n_places)])
        p[",".join(map(str, sorted(columns)))] = float(
            causalicp.icp._test_hypothesis(4, set(columns), data, 0.05)[2]
        )
    found[name] = {"estimate": sorted(result.estimate), "p": p}
with open("icp.json", "w") as stream:
    json.dump(found, stream, indent=1)
