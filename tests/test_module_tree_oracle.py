"""Trees of image traits for gene modules: likelihoods, search, planted trees, noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen.associate import ModuleTree, module_trees
from radgen.associate.gene_sets._tree_search import Search, log_evidence, log_predictive
from radgen.errors import InputError
from radgen.types import OmicsTable, PhenotypeTable


@parametrize_with_checks([ModuleTree(n_permutations=19, min_leaf=3)])
def test_a_tree_is_a_sound_estimator(estimator, check) -> None:
    check(estimator)


def test_evidence_is_the_product_of_student_predictions() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal(12)
    steps = [float(log_predictive(z[i : i + 1], z[:i])[0]) for i in range(12)]
    whole = log_evidence(np.array(12.0), z.sum(), (z**2).sum())
    assert float(whole) == pytest.approx(sum(steps))
    n, mean = 5, z[:5].mean()
    kappa, alpha = 1 + n, 1 + n / 2
    beta = 0.5 + 0.5 * ((z[:5] - mean) ** 2).sum() + n * mean**2 / (2 * kappa)
    scale = np.sqrt(beta * (kappa + 1) / (alpha * kappa))
    want = stats.t.logpdf(z[5:8], 2 * alpha, n * mean / kappa, scale)
    assert log_predictive(z[5:8], z[:5]) == pytest.approx(want)


def test_search_equals_trying_all_splits() -> None:
    rng = np.random.default_rng(1)
    traits = np.column_stack([rng.standard_normal(30), rng.integers(0, 4, 30), np.zeros(30)])
    scores = rng.standard_normal((30, 6)) + traits[:, 1:2]
    search = Search(traits, 4)
    gain, _, trait = search.best(scores)
    for k in range(6):
        best = (-np.inf, -1)
        whole = sum(_evidence(scores[:, k]))
        for column in range(3):
            for cut in np.unique(traits[:, column])[:-1]:
                left = traits[:, column] <= cut
                if min(left.sum(), (~left).sum()) < 4:
                    continue
                found = sum(_evidence(scores[left, k])) + sum(_evidence(scores[~left, k])) - whole
                best = max(best, (found, column))
        assert gain[k] == pytest.approx(best[0])
        assert trait[k] == best[1]
    assert Search(np.zeros((30, 2)), 4).split(scores[:, 0]) is None


def _evidence(z: np.ndarray) -> list[float]:
    return [float(log_predictive(z[i : i + 1], z[:i])[0]) for i in range(len(z))]


def test_a_planted_tree_is_found_and_its_rules_lead_to_the_leaves() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((150, 10))
    high = x[:, 3] > 0.2
    score = np.where(high, np.where(x[:, 7] > 0, 3.0, 1.5), 0.0) + 0.4 * rng.standard_normal(150)
    tree = ModuleTree().fit(x, score)
    root = tree.nodes_[0]
    assert root.split.trait == 3
    assert root.split.threshold == pytest.approx(0.2, abs=0.15)
    assert tree.nodes_[root.right].split.trait == 7
    assert tree.nodes_[root.left].split is None
    leaf = tree.apply(x)
    for place in np.unique(leaf):
        assert tree.nodes_[place].n == (leaf == place).sum()
        assert tree.nodes_[place].mean == pytest.approx(score[leaf == place].mean())
    assert tree.predict(x) == pytest.approx(np.array([tree.nodes_[k].mean for k in leaf]))


def test_trees_of_noise_are_rare() -> None:
    rng = np.random.default_rng(3)
    grown = 0
    for _ in range(60):
        x, y = rng.standard_normal((40, 8)), rng.standard_t(3, 40)
        grown += len(ModuleTree(n_permutations=39, folds=3).fit(x, y).nodes_) > 1
    assert grown <= stats.binom.ppf(0.999, 60, 0.05)


def test_modules_are_told_apart_and_drawn() -> None:
    rng = np.random.default_rng(4)
    ids, genes = [f"s{i}" for i in range(90)], [f"g{j}" for j in range(40)]
    rim, other = rng.standard_normal(90), rng.standard_normal(90)
    x = rng.standard_normal((90, 40))
    x[:, :10] += 1.5 * (rim[:, None] > 0)
    x[:, 10:20] -= 1.5 * (rim[:, None] > 0)
    x[:, 20:30] += rng.standard_normal((90, 1))
    rim[:3] = np.nan
    images = PhenotypeTable.from_frame({"sample": ids, "rim": rim, "other": other})
    layer = OmicsTable(ids, genes, x, "expression", "log2")
    sets = {"mixed": genes[:20], "free": genes[20:30], "few": genes[30:32]}
    found = module_trees(images, layer, sets, seed=1)
    assert found.grown() == ["mixed"]
    rows = {row["module"]: row for row in found.modules.to_dicts()}
    assert rows["mixed"]["traits"] == "rim"
    assert rows["mixed"]["r_held_out"] > 0.7
    assert rows["mixed"]["gain_held_out"] > 0
    assert rows["few"]["status"] == "not_tested"
    assert found.frame.filter(found.frame["rule"] != "")["rule"][0].startswith("rim <= ")
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).statements() == found.statements()
    assert found.plot("module_tree") is not None
    with pytest.raises(InputError, match="no tree"):
        found.plot("module_tree", module="free")
    with pytest.raises(InputError, match="raw counts"):
        module_trees(images, OmicsTable(ids, genes, x**2, "expression", "counts"), sets)
