"""Wasserstein distances on a network by POT. Run in this folder: python transport.py

Packages: POT 0.9.7; versions are written into transport.json.
"""

import json
from importlib.metadata import version

import numpy as np
import ot
from scipy.sparse.csgraph import shortest_path

rng = np.random.default_rng(3)
n = 9
edges = [(k, k + 1) for k in range(n - 1)] + [(0, 5), (2, 7), (3, 8)]
lengths = rng.uniform(0.5, 2, len(edges)).round(3)
graph = np.zeros((n, n))
for (a, b), d in zip(edges, lengths, strict=True):
    graph[a, b] = graph[b, a] = d
cost = shortest_path(graph, directed=False)
masses = rng.dirichlet(np.ones(n), size=5)
found = [[float(ot.emd2(a, b, cost)) for b in masses] for a in masses]
with open("transport.json", "w") as stream:
    json.dump(
        {
            "edges": edges,
            "lengths": lengths.tolist(),
            "masses": masses.tolist(),
            "distances": found,
            "packages": {k: version(k) for k in ("POT", "numpy", "scipy")},
        },
        stream,
    )
