"""Networks on crops: order of slices, planted texture, nothing in noise, patients kept whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from radgen.deep import ImageNetwork, load_model, save_model
from radgen.errors import FormatError, InputError
from radgen.stats.discrimination import auc

pytestmark = pytest.mark.usefixtures("torch")
SIDE = 16


def textured(n, seed):
    """A lesion of fine or coarse texture, of equal mean and SD, amid noise."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(float)
    x = rng.normal(size=(n, 1, SIDE, SIDE, SIDE)).astype(np.float32)
    for k in range(n):
        texture = rng.normal(size=(12, 12, 12))
        texture = gaussian_filter(texture, 1.0) if y[k] else texture
        x[k, 0, 2:14, 2:14, 2:14] = (texture - texture.mean()) / texture.std()
    return x, y


def ordered(n, seed):
    """Two slices, one bright and one dark: only which comes first tells the class."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(float)
    x = rng.normal(size=(n, 1, 8, SIDE, SIDE)).astype(np.float32) * 0.3
    for k in range(n):
        first, second = np.sort(rng.choice(8, 2, replace=False))
        x[k, 0, first, 4:12, 4:12] += 2.0 if y[k] else -2.0
        x[k, 0, second, 4:12, 4:12] -= 2.0 if y[k] else -2.0
    return x, y


@pytest.fixture(scope="module")
def fitted():
    return ImageNetwork(random_state=0, epochs=30).fit(*textured(60, 0))


def test_a_planted_texture_is_found_and_shuffled_labels_tell_nothing(fitted):
    held, truth = textured(120, 1)
    assert auc(truth, fitted.predict_score(held)) > 0.95
    assert auc(truth, fitted.predict_proba(held)[:, 1]) > 0.95
    x, y = textured(60, 0)
    rng = np.random.default_rng(0)
    score = ImageNetwork(random_state=0, epochs=8).fit(x, rng.permutation(y)).predict_score(held)
    found = np.mean([auc(rng.permutation(truth), score) for _ in range(20)])
    assert abs(found - 0.5) < 0.05  # SE 0.012


def test_only_the_recurrent_network_reads_the_order_of_slices():
    x, y = ordered(60, 0)
    held, truth = ordered(100, 1)
    settings = {"random_state": 0, "epochs": 25, "rotate_deg": 0.0, "held_out": 0}
    slices, blind = (
        ImageNetwork(network=name, **settings).fit(x, y) for name in ("slices", "slice-mean")
    )
    assert auc(truth, slices.predict_score(held)) > 0.95
    assert auc(truth, slices.predict_score(held[:, :, ::-1])) < 0.05
    assert auc(truth, blind.predict_score(held)) < 0.65


def test_predictions_do_not_depend_on_the_other_samples(fitted):
    held, _ = textured(70, 2)
    whole = fitted.predict_score(held)
    order = np.random.default_rng(0).permutation(70)
    np.testing.assert_allclose(fitted.predict_score(held[order]), whole[order], atol=1e-6)
    np.testing.assert_allclose(fitted.predict_score(held[:1]), whole[:1], atol=1e-6)


def test_the_same_seed_gives_the_same_network_and_its_file_predicts_the_same(fitted, tmp_path):
    x, y = textured(24, 3)
    one, two = (ImageNetwork(random_state=4, epochs=2).fit(x, y).predict_score(x) for _ in "ab")
    np.testing.assert_array_equal(one, two)
    save_model(fitted, tmp_path / "m.npz")
    again, _ = load_model(tmp_path / "m.npz")
    np.testing.assert_array_equal(again.predict_score(x), fitted.predict_score(x))
    (tmp_path / "m.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:-200])
    with pytest.raises(FormatError):
        load_model(tmp_path / "m.npz")


def test_patients_held_out_for_stopping_do_not_train():
    _, y = textured(24, 5)
    model = ImageNetwork(held_out=0.25)
    patients = np.repeat(np.arange(12), 2)[np.random.default_rng(0).permutation(24)]
    train, held = model._parted("binary", y, patients, 1)
    assert len(held) >= 4
    assert not set(patients[train]) & set(patients[held])
    assert sorted((*train, *held)) == list(range(24))


@pytest.mark.parametrize("kind", ["continuous", "censored", "with age"])
def test_other_outcomes_and_columns_beside_the_crop(kind):
    rng = np.random.default_rng(0)
    x, y = textured(48, 6)
    held, truth = textured(60, 7)
    if kind == "with age":
        # The class is told by a column alone: crops are of the other kind at random.
        flat, age = x.reshape(48, -1), y[rng.permutation(48)]
        joined = np.column_stack((flat, 70 + 10 * age))
        model = ImageNetwork(shape=(1, SIDE, SIDE, SIDE), random_state=0, epochs=25, held_out=0)
        model.fit(joined, age)
        new = np.column_stack((held.reshape(60, -1), 70 + 10 * truth[::-1]))
        assert auc(truth[::-1], model.predict_score(new)) > 0.9
        return
    if kind == "continuous":
        target = 100 + 20 * y + rng.normal(size=48)
    else:
        time = rng.exponential(np.exp(-2 * y))
        target = np.column_stack((time, rng.random(48) < 0.8))
    model = ImageNetwork(random_state=0, epochs=25, held_out=0).fit(x, target)
    assert model.scale_.kind == kind
    score = model.predict(held)
    assert auc(truth, score) > 0.8
    if kind == "continuous":
        assert 100 < score.mean() < 120
    with pytest.raises(InputError, match="no probabilities"):
        model.predict_proba(held)


def test_turned_and_mirrored_crops_are_those_of_numpy(torch):
    from radgen.deep._nets import augment

    class Fixed:
        def __init__(self, degrees, sign):
            self.degrees, self.sign = degrees, sign

        def uniform(self, low, high, size):
            return np.full(size, self.degrees)

        def choice(self, values, size):
            return np.full(size, self.sign)

    x = torch.randn(3, 2, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    for axes in ((0,), (1,), (2,), (0, 1, 2)):
        found = augment(x, Fixed(0.0, -1.0), flips=axes, rotate_deg=0.0, intensity=0.0)
        torch.testing.assert_close(found, torch.flip(x, [2 + a for a in axes]), atol=1e-5, rtol=0)
    found = augment(x, Fixed(90.0, 1.0), flips=(), rotate_deg=90.0, intensity=0.0)
    torch.testing.assert_close(found, torch.rot90(x, 1, (3, 4)), atol=1e-4, rtol=0)


def test_what_an_image_network_refuses():
    x, y = textured(12, 8)
    with pytest.raises(InputError, match="8 voxels"):
        ImageNetwork().fit(x[:, :, :4], y)
    with pytest.raises(InputError, match="axes"):
        ImageNetwork().fit(x[:, 0], y)
    with pytest.raises(InputError, match="missing"):
        ImageNetwork().fit(np.where(x > 3, np.nan, x), y)
    with pytest.raises(InputError, match="both of them"):
        ImageNetwork().fit(x, np.ones(12))
    with pytest.raises(InputError, match="Unknown network"):
        ImageNetwork(network="resnet").fit(x, y)
