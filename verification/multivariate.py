"""Multivariate methods on 200 simulated cohorts: support recovery, held-out null, permutation p.

Run: ``python verification/multivariate.py [cohorts]`` (default 200). Peers are compared where they
are installed: scikit-learn's PLS always, cca-zoo's sparse CCA where it can be imported. Prints a
table and ends with status 1 where a check fails.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import binom, kstest
from sklearn.cross_decomposition import PLSSVD

from radgen.multivariate import (
    Adjusted,
    GroupSparseMultiTask,
    SparseCCA,
    SparsePLS,
    SparseReducedRank,
    cca_permutation,
    compare,
    link_biclusters,
)
from radgen.sim import LinkedBlocks, simulate_linked_blocks

N, P, Q, ACTIVE = 150, 200, 30, 8
Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cohort(number: int, correlation: float) -> LinkedBlocks:
    """Return one cohort; the link is of moderate strength, so that recovery can differ."""
    return simulate_linked_blocks(
        N, P, Q, rng=np.random.default_rng([31, number]), correlations=(correlation,),
        n_x_active=ACTIVE, n_y_active=6, ld=0.6,
    )  # fmt: skip


def methods() -> dict[str, Fit]:
    """Return for each method a function from blocks to the weights of the variants."""
    found: dict[str, Fit] = {
        "sparse CCA": lambda x, y: SparseCCA(
            x_penalty=0.25, y_penalty=0.5, tol=1e-5, max_iter=5000
        ).fit(x, y).x_weights_[:, 0],
        "sparse PLS": lambda x, y: SparsePLS(n_x=25, n_y=10, tol=1e-6, max_iter=5000)
        .fit(x, y).x_weights_[:, 0],
        "sparse reduced rank": lambda x, y: SparseReducedRank(
            n_selected=25, tol=1e-6, max_iter=5000
        ).fit(x, y).x_weights_[:, 0],
        "multi-task": lambda x, y: np.linalg.norm(
            GroupSparseMultiTask(0.25, tol=1e-4).fit(x, y).coef_, axis=1
        ),
        "scikit-learn PLS-SVD": lambda x, y: PLSSVD(1).fit(x, y).x_weights_[:, 0],
        "mass-univariate": lambda x, y: np.abs(x.T @ y).max(axis=1),
    }  # fmt: skip
    if importlib.util.find_spec("cca_zoo"):
        found["cca-zoo sparse CCA"] = _cca_zoo
    return found


def _cca_zoo(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from cca_zoo.sparse import PMDCCA  # the peer, where it is installed

    model: Any = PMDCCA(1, l1_bound=[0.25, 0.5], random_state=0).fit([x, y])
    return np.asarray(model.weights_[0])[:, 0]


def recovery(cohorts: int) -> dict[str, np.ndarray]:
    """Return the area under the recovery curve of each method and cohort.

    The curve is the share of the true variants among the k strongest, for k up to three times
    their number, which is what anybody would follow up; ties are broken at random.
    """
    area: dict[str, list[float]] = {name: [] for name in methods()}
    for number in range(cohorts):
        linked = cohort(number, 0.55)
        x, y = (
            (b - b.mean(axis=0)) / np.where(b.std(axis=0) > 0, b.std(axis=0), 1)
            for b in (linked.x, linked.y)
        )
        true = np.zeros(P, dtype=bool)
        true[linked.x_active] = True
        for name, fit in methods().items():
            strength = np.abs(fit(x, y))
            order = np.lexsort((np.random.default_rng(number).random(P), -strength))
            curve = np.cumsum(true[order])[: 3 * ACTIVE] / ACTIVE
            area[name].append(float(curve.mean()))
    return {name: np.array(values) for name, values in area.items()}


def held_out_null(cohorts: int) -> np.ndarray:
    """Return held-out correlations of sparse CCA in unlinked, confounded cohorts."""
    found = []
    for number in range(cohorts):
        linked = simulate_linked_blocks(
            N, P, Q, rng=np.random.default_rng([37, number]), correlations=(0.0,), ancestry=2.0
        )
        z = linked.covariates["ancestry"].to_numpy()
        half = np.arange(N) < N // 2
        model = Adjusted(SparseCCA(tol=1e-4, max_iter=5000))
        model.fit(linked.x[half], linked.y[half], confounders=z[half])
        found.append(model.score(linked.x[~half], linked.y[~half], confounders=z[~half]))
    return np.array(found)


def permutation_p(cohorts: int) -> np.ndarray:
    """Return p-values of penalty tuning by permutation in unlinked cohorts."""
    found = []
    for number in range(cohorts):
        rng = np.random.default_rng([41, number])
        x, y = rng.standard_normal((60, 40)), rng.standard_normal((60, 10))
        tuned = cca_permutation(
            x, y, penalties=[(0.3, 0.5), (0.6, 0.8)], seed=number, n_permutations=39,
            params={"tol": 1e-4, "max_iter": 5000},
        )  # fmt: skip
        found.append(tuned.p)
    return np.array(found)


def biclusters(cohorts: int) -> tuple[float, float]:
    """Return the mean Jaccard index of planted sets, and the family-wise error of unlinked ones."""
    jaccard, false = [], []
    for number in range(cohorts):
        rng = np.random.default_rng([43, number])
        group = np.zeros(120, dtype=bool)
        group[rng.choice(120, 30, replace=False)] = True
        x = rng.binomial(2, 0.2, (120, 40)).astype(float)
        x[np.ix_(group, range(10))] = rng.binomial(2, 0.85, (30, 10))
        for linked in (True, False):
            y = rng.standard_normal((120, 20))
            y[np.ix_(group if linked else rng.permutation(group), range(6))] += 2
            found = link_biclusters(x, y, seed=0, ranks=(2, 3, 4), n_permutations=99)
            best = found.table.row(0, named=True)
            if not linked:
                false.append(best["p_fwe"] <= 0.05)
                continue
            members = found.members
            inside = set(
                members.filter((members["block"] == "x") & (members["set"] == best["x_set"]))[
                    "sample"
                ]
            )
            known = {f"s{i}" for i in np.flatnonzero(group)}
            jaccard.append(len(inside & known) / len(inside | known))
    return float(np.mean(jaccard)), float(np.mean(false))


def compared(cohorts: int) -> tuple[int, int]:
    """Return how often `compare` claims a link of unlinked, confounded blocks, and of how many."""
    claims = tests = 0
    for number in range(cohorts):
        null = simulate_linked_blocks(
            N, 60, 15, rng=np.random.default_rng([47, number]), correlations=(0.0,),
            n_x_active=5, ancestry=2.0,
        )  # fmt: skip
        found = compare(
            null.x, null.y, seed=number, n_null=19, methods=["spls", "srrr"], repeats=1, folds=3,
            inner=2, n_pairs=2, confounders=null.covariates["ancestry"].to_numpy(),
        )  # fmt: skip
        claims += int((found.table["p_adjusted"] <= 0.05).any())
        tests += 1
    return claims, tests


def main(cohorts: int) -> int:
    """Run all checks and return the exit status."""
    warnings.simplefilter("ignore")
    failed = 0

    def say(what: str, figure: str, right: bool) -> None:
        nonlocal failed
        failed += not right
        print(f"{what:44s} {figure:44s} {'as it must be' if right else 'FAILED'}", flush=True)

    area = recovery(cohorts)
    ours = ("sparse CCA", "sparse PLS", "sparse reduced rank", "multi-task")
    peers = [name for name in area if name not in ours]
    best = max(peers, key=lambda name: area[name].mean())
    for name, values in area.items():
        error = values.std(ddof=1) / np.sqrt(cohorts)
        gap = values - area[best]
        worse = gap.mean() < -4 * gap.std(ddof=1) / np.sqrt(cohorts) - 1e-3
        right = name not in ours[:1] or not worse
        say(f"recovery, {name}", f"{values.mean():.3f} (SE {error:.3f}); best peer: {best}", right)
    null = held_out_null(cohorts)
    error = null.std(ddof=1) / np.sqrt(cohorts)
    say(
        "held-out correlation, null",
        f"{null.mean():+.4f} (SE {error:.4f})",
        abs(null.mean()) < 4 * error,
    )
    p = permutation_p(cohorts)
    # p takes 40 values; a little jitter makes the uniform comparison fair
    jitter = p - np.random.default_rng(0).uniform(0, 1 / 40, len(p))
    level = float((p <= 0.05).mean())
    say("permutation p, null", f"KS p {kstest(jitter, 'uniform').pvalue:.2f}, level {level:.3f}",
        bool(kstest(jitter, "uniform").pvalue > 1e-3))  # fmt: skip
    claims, tests = compared(max(20, cohorts // 4))
    most = int(binom.ppf(0.999, tests, 0.05))
    say("nested comparison, unlinked", f"{claims} of {tests} claimed (at most {most})",
        claims <= most)  # fmt: skip
    found, false = biclusters(max(20, cohorts // 4))
    limit = 0.05 + 4 * np.sqrt(0.05 * 0.95 / max(20, cohorts // 4))
    say("biclusters, planted: Jaccard", f"{found:.3f}", found >= 0.8)
    say(
        "biclusters, unlinked: family-wise error",
        f"{false:.3f} (limit {limit:.3f})",
        false <= limit,
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
