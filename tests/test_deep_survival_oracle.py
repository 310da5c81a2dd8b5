"""The survival network and its losses: closed forms, torchsurv, Cox, planted truth."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pytest

from radgen.deep import DeepSurvival, correlation_loss, cox_loss, load_model, save_model
from radgen.errors import FormatError, InputError
from radgen.stats.cox import RiskSets, fit_cox
from radgen.stats.survival_metrics import harrell_c

pytestmark = pytest.mark.usefixtures("torch")


def cohort(n=150, seed=0, tied=True):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)) * [1, 3, 0.1, 1, 1] + [0, 50, 0, 0, 1]
    risk = x[:, 0] - 0.2 * x[:, 1] + 5 * x[:, 2]
    time = rng.exponential(np.exp(-(risk - risk.mean())))
    censor = rng.exponential(2, n)
    out = np.minimum(time, censor)
    return x, np.column_stack((np.ceil(out * 8) / 8 if tied else out, time <= censor))


def test_cox_loss_of_five_subjects_is_the_closed_form(torch):
    # Events at 2 (two of them) and 5; censored at 3 and 7.
    time, event = [2.0, 2.0, 3.0, 5.0, 7.0], [1, 1, 0, 1, 0]
    w = np.array([2.0, 3.0, 5.0, 7.0, 11.0])
    score = torch.tensor(np.log(w), requires_grad=True)
    breslow = np.log(2 / 28) + np.log(3 / 28) + np.log(7 / 18)
    efron = np.log(2 / 28) + np.log(3 / (28 - 2.5)) + np.log(7 / 18)
    found = cox_loss(score.detach(), time, event, ties="breslow")
    assert float(found) == pytest.approx(-breslow / 3)
    loss = cox_loss(score, time, event)
    assert loss.item() == pytest.approx(-efron / 3)
    loss.backward()
    # d/d eta of the first death: its own event, less its share of both denominators.
    first = -(1 - 2 / 28 - 1 / 25.5) / 3
    assert float(score.grad[0]) == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_loss_and_gradient_are_those_of_the_cox_model(torch, ties):
    x, y = cohort()
    eta = np.random.default_rng(1).normal(size=len(x)) * 3
    value, gradient, _ = RiskSets(
        y[:, 0], y[:, 1] > 0, np.ones(len(y)), None, ties
    ).eta_derivatives(eta)
    score = torch.tensor(eta, requires_grad=True)
    loss = cox_loss(score, y[:, 0], y[:, 1], ties=ties)
    loss.backward()
    n_events = y[:, 1].sum()
    assert loss.item() == pytest.approx(-value / n_events, rel=1e-12)
    np.testing.assert_allclose(score.grad.numpy(), -gradient / n_events, atol=1e-13)
    far = torch.tensor(eta * 300)  # exponentials of a thousand overflow where ratios do not
    assert np.isfinite(float(cox_loss(far, y[:, 0], y[:, 1], ties=ties)))


@pytest.mark.skipif(find_spec("torchsurv") is None, reason="torchsurv is not installed")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_loss_is_that_of_torchsurv(torch, ties):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchsurv.loss.cox import neg_partial_log_likelihood as theirs

        x, y = cohort()
        order = np.argsort(y[:, 0], kind="stable")
        eta = torch.tensor(np.random.default_rng(2).normal(size=len(x))[order])
        time, event = y[order, 0], y[order, 1] > 0
        wanted = theirs(
            eta, torch.tensor(event), torch.tensor(time), ties_method=ties, reduction="sum"
        )
    found = cox_loss(eta, time, event, ties=ties)
    assert float(found) * event.sum() == pytest.approx(float(wanted), rel=1e-6)


def test_correlation_loss_is_that_of_the_singular_values(torch):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 2))
    a = shared @ rng.normal(size=(2, 3)) + rng.normal(size=(300, 3))
    b = shared @ rng.normal(size=(2, 3)) + rng.normal(size=(300, 3))
    bases = [np.linalg.qr(part - part.mean(axis=0))[0] for part in (a, b)]
    rho = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    found = correlation_loss([torch.tensor(a), torch.tensor(b)], ridge=0.0)
    assert float(found) == pytest.approx(-(rho**2).mean(), rel=1e-10)
    turned = correlation_loss([torch.tensor(a @ rng.normal(size=(3, 3))), torch.tensor(b)], ridge=0)
    assert float(turned) == pytest.approx(float(found), rel=1e-8)
    same = correlation_loss([torch.tensor(a)] * 3, ridge=0.0)
    assert float(same) == pytest.approx(-1.0)


@pytest.mark.parametrize(("ties", "widths"), [("efron", (2, 3)), ("breslow", None)])
def test_a_linear_network_without_a_penalty_is_the_cox_model(ties, widths):
    x, y = cohort()
    found = DeepSurvival(
        hidden=(), penalty=0.0, widths=widths, ties=ties, max_iter=500, random_state=3
    ).fit(x, y)
    wanted = fit_cox(x, y[:, 0], y[:, 1], ties=ties)
    np.testing.assert_allclose(found.coefficients(), wanted.beta, rtol=1e-4, atol=1e-5)
    score = x @ wanted.beta
    np.testing.assert_allclose(found.predict(x), score - score.mean(), atol=1e-3)


def shared_factor(seed, n=120):
    """Two views that share one weak factor; each has three stronger ones of its own."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    z = rng.normal(size=n)
    views = []
    for _ in range(2):
        load, own = fixed.normal(size=40), fixed.normal(size=(3, 40))
        noise = rng.normal(size=(n, 40))
        views.append(0.5 * z[:, None] * load + rng.normal(size=(n, 3)) @ own + noise)
    time, censor = rng.exponential(np.exp(-z)), rng.exponential(1.0, n)
    return views, np.column_stack((np.minimum(time, censor), time <= censor)), z


def explained(latent, z):
    design = np.column_stack((latent, np.ones(len(z))))
    return 1 - np.var(z - design @ np.linalg.lstsq(design, z, rcond=None)[0]) / np.var(z)


def test_views_taught_to_agree_find_the_factor_that_they_share():
    views, y, _ = shared_factor(0)
    held, held_y, z = shared_factor(1, 300)
    share, c = {}, {}
    for taught in (True, False):
        model = DeepSurvival(pretrain=taught, penalty=0.1, random_state=0).fit(views, y)
        share[taught] = explained(model.transform(held), z)
        c[taught] = harrell_c(held_y[:, 0], held_y[:, 1] > 0, model.predict(held)).estimate
    assert share[True] > 0.6 > share[False] + 0.1
    assert c[True] > 0.58


def test_noise_is_not_predicted():
    c = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        _, y = cohort(100, seed)
        _, held = cohort(150, seed + 50)
        model = DeepSurvival(widths=(10, 10), random_state=seed, max_iter=50)
        model.fit(rng.normal(size=(100, 20)), y)
        score = model.predict(rng.normal(size=(150, 20)))
        c.append(harrell_c(held[:, 0], held[:, 1] > 0, score).estimate)
    assert abs(np.mean(c) - 0.5) < 0.04  # SE of a mean of six C of 150: 0.013


def test_the_same_seed_gives_the_same_network_and_the_file_predicts_the_same(tmp_path, torch):
    x, y = cohort()
    threads = torch.get_num_threads()
    state = torch.random.get_rng_state()
    one = DeepSurvival(widths=(2, 3), random_state=5).fit(x, y)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(123)
    two = DeepSurvival(widths=(2, 3), random_state=5).fit(x, y)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(one.predict(x[order]), one.predict(x)[order], atol=1e-12)
    path = tmp_path / "net.npz"
    save_model(one, path, about={"outcome": "survival"})
    again, about = load_model(path)
    assert about == {"outcome": "survival"}
    np.testing.assert_array_equal(again.predict(x), one.predict(x))
    assert b"pickle" not in path.read_bytes()


def test_changed_and_foreign_files_are_refused(tmp_path):
    x, y = cohort()
    path = tmp_path / "net.npz"
    save_model(DeepSurvival(max_iter=5).fit(x, y), path)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["net/common.0.weight"] = arrays["net/common.0.weight"] * 2
    np.savez(path, **arrays)
    with pytest.raises(FormatError, match="changed after"):
        load_model(path)
    np.savez(path, header=np.array([{}], dtype=object))
    with pytest.raises(FormatError, match="no model file"):
        load_model(path)


def test_what_a_survival_network_refuses():
    x, y = cohort(40)
    with pytest.raises(InputError, match="do not add up"):
        DeepSurvival(widths=(2, 2)).fit(x, y)
    with pytest.raises(InputError, match="missing values"):
        DeepSurvival().fit(np.where(x > 1, np.nan, x), y)
    with pytest.raises(InputError, match="two columns"):
        DeepSurvival().fit(x, y[:, 0])
    with pytest.raises(InputError, match="views of"):
        DeepSurvival(max_iter=2).fit([x[:, :2], x[:, 2:]], y).predict([x[:, :3], x[:, 3:]])
