"""Parallel ICA on the two-block simulation of the Fusion ICA Toolbox."""

from __future__ import annotations

import numpy as np
import pytest

from radgen.errors import InputError
from radgen.multivariate.components import component_number, link_significance
from radgen.multivariate.parallel_ica import ParallelICA


@pytest.fixture(scope="module")
def blocks(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    root = request.getfixturevalue("data")("genetics/parallel_ica_sim")
    names = {
        "X": "imaging_150x2000.csv.gz",
        "Y": "snp_150x1500.csv.gz",
        "true_A1": "true_A1.csv",
        "true_A2": "true_A2.csv",
        "true_S1": "true_S1.csv.gz",
        "true_S2": "true_S2.csv.gz",
        "fit_S1": "fit_S1.csv",
        "fit_S2": "fit_S2.csv",
    }
    return {key: np.loadtxt(root / name, delimiter=",") for key, name in names.items()}


def _match(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.abs(np.corrcoef(found, known)[: len(found), len(found) :]).max(axis=0)


def test_sources_and_links_are_recovered_at_least_as_well_as_by_the_toolbox(blocks) -> None:
    model = ParallelICA(6, random_state=0).fit(blocks["X"], blocks["Y"])
    assert (_match(model.x_sources_, blocks["fit_S1"]) >= 0.95).all()
    assert (_match(model.x_sources_, blocks["true_S1"]) >= 0.99).all()
    # genotypes are a coarse reading of the latent sources, so the truth itself is met at 0.8
    ours = _match(model.y_sources_, blocks["true_S2"])
    toolbox = _match(blocks["fit_S2"], blocks["true_S2"])
    assert ours.min() > 0.75
    assert ours.mean() > toolbox.mean()
    assert model.link_correlations_[:2] == pytest.approx([0.690, 0.513], abs=0.03)
    first, second = model.links_[:2]
    by_truth = np.abs(np.corrcoef(model.x_loadings_.T, blocks["true_A1"].T)[:6, 6:])
    assert by_truth[first[0]].argmax() == 1
    assert by_truth[second[0]].argmax() == 3


def test_without_coupling_the_blocks_do_not_see_each_other(blocks) -> None:
    x, y = blocks["X"][:, ::4], blocks["Y"][:, ::4]
    rng = np.random.default_rng(0)
    alone = ParallelICA(4, coupling=0.0, random_state=0).fit(x, y)
    other = ParallelICA(4, coupling=0.0, random_state=0).fit(x, y[rng.permutation(150)])
    assert _match(alone.x_sources_, other.x_sources_) == pytest.approx(np.ones(4), abs=1e-8)


def test_the_coupling_raises_the_linked_correlations(blocks) -> None:
    links = [
        np.abs(
            ParallelICA(6, coupling=c, random_state=0)
            .fit(blocks["X"], blocks["Y"])
            .link_correlations_[:2]
        )
        for c in (0.0, 1.0, 5.0)
    ]
    assert (np.diff(links, axis=0) > 0).all()


def _weak_source(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two blocks; the second holds a sparse source at a seventh of the others' strength."""
    rng = np.random.default_rng(seed)
    sources = np.zeros((4, 500))
    for i in range(4):
        sources[i, rng.choice(500, 20, replace=False)] = rng.choice([-3, 3], 20)
    known = np.sign(sources[0])
    sources += 0.3 * rng.standard_normal(sources.shape)
    loadings = rng.standard_normal((60, 4))
    loadings[:, 0] *= 0.15
    y = loadings @ sources + 1.2 * rng.standard_normal((60, 500))
    x = rng.standard_normal((60, 4)) @ rng.laplace(size=(4, 240)) + rng.standard_normal((60, 240))
    return x, y, sources[0], known


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_true_reference_helps_and_a_random_one_does_not() -> None:
    x, y, source, known = _weak_source(1)
    shuffled = np.random.default_rng(1).permutation(known)
    match = []
    for reference, weight in ((None, 0.0), (known, 1.0), (shuffled, 1.0)):
        model = ParallelICA(
            25, n_links=0, reference=reference, reference_weight=weight, random_state=0
        ).fit(x, y)
        match.append(_match(model.y_sources_, source[None])[0])
    true, random = match[1] - match[0], match[2] - match[0]
    assert true > 0.05
    assert random < true / 2


def test_component_number_is_that_of_the_simulation(blocks) -> None:
    assert component_number(blocks["X"], maximum=40) == 6


def test_link_significance_pays_for_the_coupling() -> None:
    rng = np.random.default_rng(2)
    p = []
    for seed in range(8):
        x = rng.standard_normal((40, 3)) @ rng.laplace(size=(3, 200)) + rng.standard_normal(
            (40, 200)
        )
        y = rng.standard_normal((40, 3)) @ rng.laplace(size=(3, 150)) + rng.standard_normal(
            (40, 150)
        )
        found = link_significance(
            ParallelICA(3, random_state=0), x, y, seed=seed, n_permutations=19
        )
        p.append(found.frame["p"][0])
    # uniform under the null: more than 3 of 8 at or below 0.1 has probability 0.005
    assert np.sum(np.array(p) <= 0.1) <= 3
    assert np.mean(p) > 0.25


def test_loadings_of_the_training_rows_are_reproduced(blocks) -> None:
    model = ParallelICA(5, random_state=0).fit(blocks["X"], blocks["Y"])
    a, b = model.transform(blocks["X"], blocks["Y"])
    assert a == pytest.approx(model.x_loadings_, abs=1e-8)
    assert b == pytest.approx(model.y_loadings_, abs=1e-8)
    with pytest.raises(InputError, match="possible are 1 to 149"):
        ParallelICA(200).fit(blocks["X"], blocks["Y"])
