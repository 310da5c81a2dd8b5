"""Multi-kernel learning and similarity network fusion."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.svm import SVC

from radgen.errors import InputError
from radgen.multivariate.kernels import MultiKernelClassifier, block_kernel
from radgen.multivariate.similarity import affinity, fuse_similarity


@pytest.fixture(scope="module")
def study() -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    blocks = {name: rng.standard_normal((120, 10)) for name in ("image", "genes", "noise")}
    blocks["image"][:, :3] += 1.2 * y[:, None]
    blocks["genes"][:, :2] += 0.9 * y[:, None]
    return blocks, y


def test_one_kernel_is_the_support_vector_machine(study) -> None:
    blocks, y = study
    kernel = block_kernel(blocks["image"])
    ours = MultiKernelClassifier(normalise=False).fit({"image": kernel}, y)
    peer = SVC(kernel="precomputed", tol=1e-8).fit(kernel, y)
    assert ours.decision_function({"image": kernel}) == pytest.approx(
        peer.decision_function(kernel), abs=1e-6
    )


def test_equal_weights_are_the_machine_on_the_mean_kernel(study) -> None:
    blocks, y = study
    kernels = {name: block_kernel(block, kind="rbf") for name, block in blocks.items()}
    ours = MultiKernelClassifier(learn_weights=False, normalise=False).fit(kernels, y)
    mean = np.mean(list(kernels.values()), axis=0)
    peer = SVC(kernel="precomputed", tol=1e-8).fit(mean, y)
    assert ours.decision_function(kernels) == pytest.approx(peer.decision_function(mean), abs=1e-6)


def test_weights_solve_the_convex_problem_and_noise_gets_none(study) -> None:
    import cvxpy as cp

    blocks, y = study
    kernels = {name: block_kernel(block) for name, block in blocks.items()}
    model = MultiKernelClassifier(tol=1e-6, max_iter=5000).fit(kernels, y)
    assert model.weights_.sum() == pytest.approx(1)
    assert model.weights_[2] < 0.15 < model.weights_[1] < model.weights_[0]
    sign = np.where(y == 1, 1.0, -1.0)
    alpha, bound = cp.Variable(120), cp.Variable()
    limits = [alpha >= 0, alpha <= 1, alpha @ sign == 0]
    for k, kernel in enumerate(kernels.values()):
        scaled = kernel / model.scales_[k]
        root = np.linalg.cholesky(scaled + 1e-9 * np.eye(120))
        limits.append(0.5 * cp.sum_squares(root.T @ cp.multiply(sign, alpha)) <= bound)
    problem = cp.Problem(cp.Maximize(cp.sum(alpha) - bound), limits)
    problem.solve(solver=cp.CLARABEL)
    value = np.abs(model.dual_).sum() - 0.5 * model.weights_ @ [
        model.dual_ @ kernel @ model.dual_ / model.scales_[k]
        for k, kernel in enumerate(kernels.values())
    ]
    assert value == pytest.approx(problem.value, rel=1e-5)


def test_a_missing_modality_takes_no_part_in_the_decision(study) -> None:
    blocks, y = study
    holes = {name: block.copy() for name, block in blocks.items()}
    holes["genes"][:30] = np.nan
    kernels = {name: block_kernel(block) for name, block in holes.items()}
    model = MultiKernelClassifier().fit(kernels, y)
    parts = model.contributions(kernels)
    assert (parts["genes"][:30] == 0).all()
    assert (parts["genes"][30:] != 0).any()
    total = sum(parts[name] for name in ("image", "genes", "noise", "intercept"))
    assert np.allclose(total, parts["decision"])
    assert (model.predict(kernels) == y).mean() > 0.85
    holes["image"][3, 2] = np.nan
    with pytest.raises(InputError, match="missing in part"):
        block_kernel(holes["image"])
    with pytest.raises(InputError, match="different shapes"):
        model.fit({"a": np.eye(3), "b": np.eye(4)}, [0, 1, 0])


def test_fused_networks_show_groups_that_no_single_one_shows() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 30)
    views = []
    for split in ((0, 1), (1, 2)):
        block = rng.standard_normal((90, 6))
        for group in split:
            block[truth == group] += 2.2 * (group + 1) * (-1) ** group
        views.append(block)
    networks = [
        affinity(np.linalg.norm(v[:, None] - v[None], axis=2), n_neighbours=15) for v in views
    ]
    fused = fuse_similarity(networks, n_neighbours=15)
    assert np.allclose(fused, fused.T)

    def agreement(network: np.ndarray) -> float:
        found = SpectralClustering(3, affinity="precomputed", random_state=0).fit_predict(network)
        return adjusted_rand_score(truth, found)

    assert agreement(fused) > 0.9
    order = rng.permutation(90)
    shuffled = fuse_similarity([n[np.ix_(order, order)] for n in networks], n_neighbours=15)
    assert shuffled == pytest.approx(fused[np.ix_(order, order)], abs=1e-12)


def test_fusion_follows_the_published_equations_on_a_small_case() -> None:
    rng = np.random.default_rng(2)
    a, b = (affinity(np.abs(x[:, None] - x[None]), n_neighbours=3) for x in rng.random((2, 6)))
    n, k = 6, 3

    def full(w):
        out = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                out[i, j] = (
                    0.5 if i == j else w[i, j] / (2 * sum(w[i, m] for m in range(n) if m != i))
                )
        return out

    def local(p):
        out = np.zeros((n, n))
        for i in range(n):
            near = sorted(range(n), key=lambda j: -p[i, j])[:k]
            for j in near:
                out[i, j] = p[i, j] / sum(p[i, m] for m in near)
        return out

    p = [(full(w) + full(w).T) / 2 for w in (a, b)]
    s = [local(x) for x in p]
    for _ in range(4):
        new = [full(s[0] @ p[1] @ s[0].T), full(s[1] @ p[0] @ s[1].T)]
        p = [(x + x.T) / 2 for x in new]
    expected = full((p[0] + p[1]) / 2)
    expected = (expected + expected.T) / 2
    assert fuse_similarity([a, b], n_neighbours=3, n_iterations=4) == pytest.approx(
        expected, abs=1e-12
    )
    with pytest.raises(InputError, match="two or more networks"):
        fuse_similarity([a])
    with pytest.raises(InputError, match="symmetric"):
        affinity(rng.random((5, 5)), n_neighbours=2)
