"""Networks, transport on them, clusters and intrinsic phenotypes."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples
from sklearn.utils.estimator_checks import parametrize_with_checks
from typer.testing import CliRunner

from radgen import phenotype
from radgen.cli.app import app
from radgen.errors import FitError, InputError
from radgen.phenotype.network import partial_network
from radgen.stats.clustering import (
    adjusted_rand,
    consensus_matrix,
    gap_statistic,
    kmeans,
    kmeans_by_distance,
    within_dispersion,
)
from radgen.stats.graphical_lasso import graphical_lasso
from radgen.stats.transport import network_distance, network_distances
from radgen.types import PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "network"


def golden(name):
    return np.genfromtxt(GOLDEN / name, delimiter=",", skip_header=1, autostrip=True)


def _table(values, names=None, prefix="s"):
    names = names or [f"f{j}" for j in range(values.shape[1])]
    frame = {"sample": [f"{prefix}{k}" for k in range(len(values))]}
    return PhenotypeTable.from_frame(pl.DataFrame(frame | dict(zip(names, values.T, strict=True))))


@parametrize_with_checks([phenotype.IntrinsicPhenotypes(2, draws=5, random_state=0)])
def test_intrinsic_phenotypes_are_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("alpha", "part"), [(0.1, 0), (0.25, 1)])
def test_partial_correlations_equal_glasso(alpha, part):
    precision = golden("precision.csv").reshape(2, 8, 8)[part]
    scale = np.sqrt(np.diag(precision))
    expected = -precision / np.outer(scale, scale)
    np.fill_diagonal(expected, 1)
    found, used = partial_network(golden("input.csv"), alpha=alpha)
    assert used == alpha
    np.testing.assert_allclose(found, expected, atol=2e-7)
    inverse = np.linalg.inv(graphical_lasso(np.corrcoef(golden("input.csv").T), alpha))
    gap = np.abs(inverse - np.corrcoef(golden("input.csv").T))
    assert gap[~np.eye(8, dtype=bool)].max() <= alpha + 1e-6


def test_distances_on_a_network_equal_pot():
    known = json.loads((GOLDEN / "transport.json").read_text())
    found = network_distances(known["masses"], known["edges"], known["lengths"])
    np.testing.assert_allclose(found, known["distances"], atol=1e-12)


def test_distance_on_a_line_is_that_of_cumulative_sums():
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(0)
    line = [(k, k + 1) for k in range(6)]
    a, b = rng.dirichlet(np.ones(7), size=2)
    expected = wasserstein_distance(np.arange(7), np.arange(7), a, b)
    assert network_distance(a, b, line) == pytest.approx(expected, abs=1e-12)
    ring = [*line, (6, 0)]
    long_way = network_distance(a, b, ring, [1.0] * 6 + [1e6])
    assert long_way == pytest.approx(expected, abs=1e-9)
    assert network_distance(a, b, ring) <= expected + 1e-12


def test_transport_refuses_what_cannot_be_moved():
    with pytest.raises(InputError, match="different total masses"):
        network_distance([1, 0], [0, 2], [(0, 1)])
    with pytest.raises(FitError, match="in pieces"):
        network_distance([1, 0, 0, 0], [0, 0, 1, 0], [(0, 1), (2, 3)])


def _planted(rng, n, module, extra, noise):
    """Two acquisitions of a chain of `module` phenotypes and `extra` unrelated ones."""
    chain = np.empty((n, module))
    chain[:, 0] = rng.normal(size=n)
    for j in range(1, module):
        chain[:, j] = 0.85 * chain[:, j - 1] + 0.5 * rng.normal(size=n)
    first = np.hstack((chain + noise * rng.normal(size=chain.shape), rng.normal(size=(n, extra))))
    second = np.hstack((chain + noise * rng.normal(size=chain.shape), rng.normal(size=(n, extra))))
    return first, second


def test_a_planted_module_is_found_in_both_networks():
    rng = np.random.default_rng(1)
    first, second = _planted(rng, 120, 6, 8, 0.2)
    found = phenotype.reproducible_network(_table(first), _table(second), seed=1)
    assert set(found.reproducible) == {f"f{j}" for j in range(6)}
    assert found.p < 0.01
    assert found.edges.filter(pl.col("common")).height >= 5
    assert "largest component" in found.statements()[0]
    assert "graphical lasso" in found.methods()


def test_networks_of_noise_have_no_more_in_common_than_chance():
    rng = np.random.default_rng(2)
    small = 0
    for seed in range(12):
        tables = [_table(rng.normal(size=(30, 10))) for _ in range(2)]
        found = phenotype.reproducible_network(
            *tables, seed=seed, alpha=0.15, permutations=99, transform="none"
        )
        small += found.p <= 0.05
    assert small <= 3


def test_groups_on_a_network_are_recovered():
    rng = np.random.default_rng(3)
    first, second = _planted(rng, 90, 8, 4, 0.15)
    network = phenotype.reproducible_network(_table(first), _table(second), seed=1)
    names = list(network.reproducible)
    assert len(names) >= 7
    truth = np.arange(24) % 2
    values = rng.normal(size=(24, len(names)))
    values[:, : len(names) // 2] += 3 * truth[:, None]
    values[:, len(names) // 2 :] += 3 * (1 - truth)[:, None]
    found = phenotype.network_groups(_table(values, names, "p"), network, groups=2, seed=1)
    assert adjusted_rand(found.frame["group"], truth) > 0.9
    assert "2 groups" not in found.methods()
    distance = np.zeros((24, 24))
    upper = np.triu_indices(24, 1)
    distance[upper] = found.distances["distance"]
    distance += distance.T
    expected = silhouette_samples(distance, found.frame["group"], metric="precomputed")
    np.testing.assert_allclose(found.frame["silhouette"], expected, atol=1e-12)
    with pytest.raises(InputError, match="lacks"):
        phenotype.network_groups(
            _table(values, None, "p").take(columns=[0]), network, groups=2, seed=1
        )


def test_networks_that_cannot_be_made_are_explained():
    rng = np.random.default_rng(0)
    tables = [_table(rng.normal(size=(20, 2))) for _ in range(2)]
    with pytest.raises(InputError, match="three phenotypes and eight subjects"):
        phenotype.reproducible_network(*tables, seed=1)
    with pytest.raises(InputError, match="too many"):
        partial_network(rng.normal(size=(10, 500)))
    with pytest.raises(InputError, match="do not vary"):
        partial_network(np.ones((10, 3)))


def _groups(k, n=40, p=6, apart=4.0, seed=0):
    rng = np.random.default_rng(seed)
    centres = apart * np.linalg.qr(rng.normal(size=(p, p)))[0][:k]
    labels = np.repeat(np.arange(k), n)
    return centres[labels] + rng.normal(size=(k * n, p)), labels


def test_kmeans_reaches_the_least_sum_of_squares_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, _ = _groups(3, apart=2.0)
    peer = KMeans(3, n_init=20, random_state=0).fit(x)
    found = kmeans(x, 3, rng=rng, starts=20)
    assert within_dispersion(x, found) == pytest.approx(peer.inertia_, rel=1e-9)
    by_distance = kmeans_by_distance(cdist(x, x), 3, rng=rng, starts=20)
    assert within_dispersion(x, by_distance) == pytest.approx(peer.inertia_, rel=1e-3)
    other = rng.integers(0, 4, len(x))
    assert adjusted_rand(found, other) == pytest.approx(adjusted_rand_score(found, other))
    with pytest.raises(InputError, match="distinct"):
        kmeans(np.ones((5, 2)), 2, rng=rng)


def test_gap_and_consensus_equal_their_definitions():
    rng = np.random.default_rng(0)
    x, labels = _groups(2, n=15)

    def cluster(data, k, generator):
        return kmeans(data, k, rng=generator, starts=5)

    found = gap_statistic(x, cluster, max_k=4, rng=rng, references=30)
    labels = cluster(x, 2, rng)
    pairs = sum(
        (cdist(x[labels == g], x[labels == g]) ** 2).sum() / (2 * (labels == g).sum())
        for g in range(2)
    )
    assert found.log_dispersion[1] == pytest.approx(np.log(pairs))
    assert found.best == 2
    turns = iter(range(99))

    def alternating(data, k, generator):
        return np.arange(len(data)) % 2 if next(turns) % 2 else np.zeros(len(data), dtype=int)

    consensus = consensus_matrix(x, 2, alternating, rng=np.random.default_rng(5), draws=6)
    again, together = np.random.default_rng(5), np.zeros((30, 30))
    drawn = np.zeros((30, 30))
    for d in range(6):
        rows = np.sort(again.choice(30, size=24, replace=False))
        label = np.arange(24) % 2 if d % 2 else np.zeros(24)
        for i in range(24):
            for j in range(24):
                drawn[rows[i], rows[j]] += 1
                together[rows[i], rows[j]] += label[i] == label[j]
    np.testing.assert_allclose(consensus, together / np.maximum(drawn, 1))


@pytest.mark.parametrize("method", ["kmeans", "mixture"])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_number_of_groups_is_recovered(k, method):
    x, truth = _groups(k, seed=k)
    model, found = phenotype.find_intrinsic(
        _table(x), seed=1, draws=20, references=15, method=method
    )
    assert model.n_clusters_ == k
    if k == 1:
        assert "No evidence of more than one group" in found.statements()[0]
        return
    assert adjusted_rand(model.labels_, truth) > 0.9
    assert found.groups["stability"].min() > 0.85
    new, new_truth = _groups(k, n=25, seed=k)
    assert adjusted_rand(model.predict(new), new_truth) > 0.9
    assert found.plot("gap").has_data()
    assert "gap statistic" in found.methods()


def test_groups_do_not_depend_on_the_order_of_samples_and_noise_gives_one():
    x, _ = _groups(3, n=20)
    order = np.random.default_rng(0).permutation(len(x))
    options = {"draws": 30, "references": 10, "random_state": 0}
    one = phenotype.IntrinsicPhenotypes(**options).fit(x).labels_
    two = phenotype.IntrinsicPhenotypes(**options).fit(x[order]).labels_
    assert adjusted_rand(one[order], two) == 1
    rng = np.random.default_rng(9)
    alone = [
        phenotype.IntrinsicPhenotypes(draws=2, references=15, max_clusters=4, random_state=s)
        .fit(rng.normal(size=(50, 8)))
        .n_clusters_
        for s in range(10)
    ]
    assert np.mean(np.array(alone) == 1) >= 0.8


def test_groups_are_found_again_in_another_cohort_or_not():
    x, _ = _groups(3)
    model, _ = phenotype.find_intrinsic(_table(x), seed=1, draws=20, references=10)
    new, truth = _groups(3, n=20)
    rng = np.random.default_rng(4)
    found = phenotype.assign_intrinsic(model, _table(new, prefix="n"), seed=1)
    assert found.agreement > 0.9
    assert found.p < 0.01
    assert adjusted_rand(found.frame["group"], truth) > 0.9
    assert "are found again" in found.statements()[0]
    noise = _table(x.mean(axis=0) + 1e-3 * rng.normal(size=(60, 6)), prefix="n")
    other = phenotype.assign_intrinsic(model, noise, seed=1)
    assert other.n_used == 60
    with pytest.raises(InputError, match="lacks 1 features"):
        phenotype.assign_intrinsic(model, _table(new).take(columns=[0, 1, 2, 3, 4]), seed=1)
    single, _ = phenotype.find_intrinsic(_table(x), seed=1, n_clusters=1, draws=2)
    with pytest.raises(InputError, match="one group"):
        phenotype.assign_intrinsic(single, _table(new), seed=1)


def test_groups_and_networks_from_the_command_line(tmp_path):
    def call(*arguments):
        found = CliRunner().invoke(app, ["groups", *map(str, arguments)])
        assert found.exit_code == 0, (found.output, found.exception)
        return found.output

    x, _ = _groups(2, n=25)
    new, _ = _groups(2, n=15)
    _table(x).to_frame().write_csv(tmp_path / "a.csv")
    _table(new, prefix="n").to_frame().write_csv(tmp_path / "b.csv")
    text = call("find", tmp_path / "a.csv", "--out", tmp_path / "g.csv", "--model",
                tmp_path / "m.json", "--most", 3)  # fmt: skip
    assert "2 groups of 50 samples" in text
    assert '"s1"' not in (tmp_path / "m.json").read_text()
    text = call("assign", tmp_path / "m.json", tmp_path / "b.csv", "--out", tmp_path / "h.csv")
    assert "are found again" in text
    assert pl.read_csv(tmp_path / "h.csv").height == 30
    first, second = _planted(np.random.default_rng(1), 30, 5, 3, 0.15)
    _table(first).to_frame().write_csv(tmp_path / "1.csv")
    _table(second).to_frame().write_csv(tmp_path / "2.csv")
    text = call("network", tmp_path / "1.csv", tmp_path / "2.csv", "--groups", 2,
                "--permutations", 99, "--out", tmp_path / "net")  # fmt: skip
    assert "largest component" in text
    names = {path.name for path in (tmp_path / "net").iterdir()}
    assert names == {"phenotypes.csv", "edges.csv", "groups.csv"}
