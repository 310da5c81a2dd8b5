"""Bags of tiles and of cells: order, copies, arithmetic, planted shares, the codebook of a fold."""

from __future__ import annotations

import numpy as np
import pytest

from radgen.deep import AttentionPooling, BagOfCells, load_model, save_model
from radgen.errors import InputError
from radgen.stats.discrimination import auc

with_torch = pytest.mark.usefixtures("torch")


def slides(n, seed, share=0.1):
    """A tenth of the tiles of a mutant slide is of another kind; slides differ in size."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(float)
    bags = []
    for k in range(n):
        bag = rng.normal(size=(int(rng.integers(20, 50)), 10))
        if y[k]:
            bag[: max(round(share * len(bag)), 1), :3] += 2.5
        bags.append(bag)
    return bags, y


@with_torch
@pytest.mark.parametrize("aggregate", ["attention", "mean", "top-share"])
def test_planted_tiles_are_found_and_order_tells_nothing(aggregate, tmp_path):
    bags, y = slides(60, 0)
    held, truth = slides(100, 1)
    model = AttentionPooling(aggregate=aggregate, random_state=0).fit(bags, y)
    score = model.predict_score(held)
    assert auc(truth, score) > (0.9 if aggregate == "mean" else 0.99)
    rng = np.random.default_rng(0)
    mixed = [bag[rng.permutation(len(bag))] for bag in held]
    np.testing.assert_allclose(model.predict_score(mixed), score, atol=1e-9)
    weights = model.weights(held)
    np.testing.assert_allclose([w.sum() for w in weights], 1.0)
    if aggregate != "mean":
        planted = [w[: max(round(0.1 * len(w)), 1)].sum() for w in weights[1::2]]
        assert np.mean(planted) > 0.6  # of a tenth of the tiles
    save_model(model, tmp_path / "m.npz")
    np.testing.assert_array_equal(load_model(tmp_path / "m.npz")[0].predict_score(held), score)
    if aggregate == "mean":
        return  # the null arm of weights that are learned stands for the mean of all tiles
    # Labels that nothing tells, in training and in the slides held out.
    shuffled = AttentionPooling(aggregate=aggregate, random_state=0).fit(bags, rng.permutation(y))
    score = shuffled.predict_score(held)
    found = np.mean([auc(rng.permutation(truth), score) for _ in range(20)])
    assert abs(found - 0.5) < 0.05  # SE 0.013


@with_torch
def test_the_mean_does_not_see_copies_of_all_tiles_and_is_the_mean():
    bags, y = slides(40, 2)
    model = AttentionPooling(aggregate="mean", random_state=0).fit(bags, y)
    twice = [np.vstack((bag, bag)) for bag in bags]
    np.testing.assert_allclose(model.predict_score(twice), model.predict_score(bags), atol=1e-9)
    raw = [scores.mean() for scores in model.item_scores(bags)]
    np.testing.assert_allclose(model.scale_.predict(np.array(raw)), model.predict_score(bags))


@with_torch
def test_the_strongest_share_is_the_mean_of_the_highest_scores():
    bags, y = slides(40, 3)
    model = AttentionPooling(aggregate="top-share", share=0.2, random_state=0).fit(bags, y)
    wanted = []
    for scores in model.item_scores(bags):
        count = int(np.ceil(0.2 * len(scores) - 1e-9))
        wanted.append(np.sort(scores)[-count:].mean())
    np.testing.assert_allclose(model.scale_.predict(np.array(wanted)), model.predict_score(bags))


@with_torch
def test_bags_may_come_as_one_array_and_with_columns_beside_them():
    bags, y = slides(30, 4)
    padded = np.full((30, 50, 10), np.nan)
    for k, bag in enumerate(bags):
        padded[k, : len(bag)] = bag
    one = AttentionPooling(random_state=0).fit(bags, y).predict_score(bags)
    flat = AttentionPooling(random_state=0, shape=(50, 10)).fit(padded.reshape(30, -1), y)
    np.testing.assert_allclose(flat.predict_score(padded.reshape(30, -1)), one, atol=1e-9)
    age = np.random.default_rng(0).permutation(y)
    joined = np.column_stack((padded.reshape(30, -1), 60 + 5 * age))
    model = AttentionPooling(random_state=0, shape=(50, 10), penalty=0.001).fit(joined, age)
    assert auc(age, model.predict_score(joined)) > 0.95
    padded[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="item 0 of row 0"):
        AttentionPooling().fit(padded, y)
    with pytest.raises(InputError, match="hold nothing"):
        AttentionPooling().fit(np.full((2, 3, 4), np.nan), [0, 1])


def mixtures(n, seed):
    """Cells of two kinds at known shares."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.1, 0.9, n)
    cells, kinds = [], []
    for k in range(n):
        kind = rng.random(int(rng.integers(80, 200))) < share[k]
        cells.append(rng.normal(size=(len(kind), 4)) + 6.0 * kind[:, None])
        kinds.append(kind)
    return cells, kinds


def test_histograms_count_every_cell_and_recover_the_mixture():
    cells, kinds = mixtures(30, 0)
    book = BagOfCells(2, values="count", random_state=0).fit(cells[:20])
    counts = book.transform(cells)
    np.testing.assert_array_equal(counts.sum(axis=1), [len(bag) for bag in cells])
    rng = np.random.default_rng(1)
    mixed = [bag[rng.permutation(len(bag))] for bag in cells]
    np.testing.assert_array_equal(book.transform(mixed), counts)
    high = int(book.words_.mean(axis=1).argmax())
    share = BagOfCells(2, random_state=0).fit(cells[:20]).transform(cells)[:, high]
    np.testing.assert_allclose(share, [kind.mean() for kind in kinds], atol=0.01)
    weights = book.cell_weights(cells, np.eye(2)[high])
    assert np.mean(np.concatenate(weights) == np.concatenate(kinds)) > 0.995
    again = BagOfCells(2, values="count", random_state=0).fit(cells[:20])
    np.testing.assert_array_equal(again.words_, book.words_)


def test_the_codebook_is_that_of_k_means_and_of_the_training_samples_alone(tmp_path):
    from sklearn.cluster import KMeans

    cells, _ = mixtures(12, 2)
    book = BagOfCells(3, values="root", random_state=0).fit(cells)
    pool = np.vstack(cells)
    z = (pool - pool.mean(axis=0)) / pool.std(axis=0)
    wanted = KMeans(3, n_init=4, random_state=0).fit(z)
    order = np.argsort(-np.bincount(wanted.labels_), kind="stable")
    np.testing.assert_allclose((book.words_ - pool.mean(axis=0)) / pool.std(axis=0),
                               wanted.cluster_centers_[order], atol=1e-9)  # fmt: skip
    np.testing.assert_allclose((book.transform(cells) ** 2).sum(axis=1), 1.0)
    save_model(book, tmp_path / "book.npz")
    again, _ = load_model(tmp_path / "book.npz")
    np.testing.assert_array_equal(again.transform(cells), book.transform(cells))
    with pytest.raises(InputError, match="different cells"):
        BagOfCells(5).fit([np.ones((9, 2)), np.zeros((3, 2))])
    with pytest.raises(InputError, match="one a word"):
        book.cell_weights(cells, [1.0, 2.0])
