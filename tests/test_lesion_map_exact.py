"""Lesion maps: Fisher, logistic score and Brunner-Munzel at each voxel; atlases; error rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from radgen.associate import fold_hemispheres, lesion_atlas, map_lesions
from radgen.errors import AlignmentError, InputError
from radgen.stats.contingency import fisher_exact
from radgen.stats.lesions import brunner_munzel_columns, fisher_table
from radgen.types import Geometry, ImageStack, VoxelSpace


def lesions(seed, n=40, shape=(5, 6, 5), radius=1.6, centres=None):
    """Balls at random centres."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    middle = rng.uniform(0, np.array(shape) - 1, (n, 3)) if centres is None else centres
    masks = np.linalg.norm(grid[None] - middle[:, None, None, None], axis=-1) <= radius
    names = tuple(f"s{i}" for i in range(n))
    space = VoxelSpace(Geometry.from_spacing(shape, (2, 2, 2)), np.arange(np.prod(shape)))
    return ImageStack(names, masks.reshape(n, -1).astype(np.float32), space)


def test_fisher_table_equals_scipy_and_the_single_test():
    for n, exposed in ((20, 7), (9, 4), (31, 30)):
        totals = np.arange(n + 1)
        table = fisher_table(n, exposed, totals)
        for m in totals:
            for both in range(max(0, exposed + m - n), min(exposed, m) + 1):
                cells = [[both, exposed - both], [m - both, n - exposed - m + both]]
                want = np.log10(stats.fisher_exact(cells)[1])
                assert table[m, both] == pytest.approx(want, abs=1e-9)
                assert table[m, both] == pytest.approx(fisher_exact(cells).log10p, abs=1e-9)
    assert np.isnan(fisher_table(8, 6, [7])[0, 0])
    with pytest.raises(InputError):
        fisher_table(5, 6, [1])


def test_brunner_munzel_of_columns_equals_scipy():
    rng = np.random.default_rng(1)
    y = np.round(rng.normal(size=30), 1)  # ties
    mask = rng.random((30, 25)) < 0.4
    found = brunner_munzel_columns(y, mask)
    for column in range(25):
        want = stats.brunnermunzel(y[~mask[:, column]], y[mask[:, column]])
        assert found.t[column] == pytest.approx(want.statistic, rel=1e-5)
        p = 2 * stats.t.sf(abs(found.t[column]), found.df[column])
        assert p == pytest.approx(want.pvalue, rel=1e-4)
    apart = brunner_munzel_columns(np.arange(10.0), (np.arange(10) >= 5)[:, None])
    assert apart.effect[0] == 1.0
    assert np.isfinite(apart.t[0])
    assert np.isnan(brunner_munzel_columns(np.arange(4.0), np.eye(4)[:, :1]).t[0])


def test_a_map_by_fisher_equals_its_definition_in_every_permutation():
    stack = lesions(2)
    rng = np.random.default_rng(3)
    mutated = rng.random(40) < 0.4
    found = map_lesions(
        stack, {"sample": stack.samples, "IDH1": mutated.astype(int)}, seed=5, n_permutations=30,
        min_lesions=4, connectivity=6, cluster_p=0.2,
    )  # fmt: skip
    mask = stack.values != 0
    use = (mask.sum(axis=0) >= 4) & (mask.sum(axis=0) <= 36)
    assert use.sum() > 30
    frame = found.frame

    def scores(x):
        out = []
        for column in np.flatnonzero(use):
            lesion = mask[:, column]
            cells = [
                [(x & lesion).sum(), (x & ~lesion).sum()],
                [(~x & lesion).sum(), (~x & ~lesion).sum()],
            ]
            p = min(stats.fisher_exact(cells)[1], 1.0)
            sign = np.sign(cells[0][0] - x.sum() * lesion.mean())
            out.append(sign * stats.norm.isf(p / 2))
        return np.array(out)

    observed = scores(mutated)
    np.testing.assert_allclose(frame["z_score"].to_numpy()[use], observed, atol=1e-5)
    from radgen.stats.permutation import random_order

    label = np.zeros(40, np.int64)
    most = [np.abs(scores(mutated[random_order(label, 5, i)])).max() for i in range(30)]
    p = ((np.array(most)[:, None] >= np.abs(observed) - 1e-5).sum(axis=0) + 1) / 31
    np.testing.assert_allclose(frame["p_voxel"].to_numpy()[use], p)
    assert frame["p_voxel"].is_nan().to_numpy()[~use].all()
    at = int(np.flatnonzero(use)[3])
    both = (mutated & mask[:, at]).sum()
    assert frame["freq_exposed"][at] == pytest.approx(both / mutated.sum())
    cells = np.array([[both, mutated.sum() - both], [(~mutated & mask[:, at]).sum(), 0]], float)
    cells[1, 1] = (~mutated).sum() - cells[1, 0]
    cells += 0.5 * (cells == 0).any()
    assert frame["effect"][at] == pytest.approx(
        np.log(cells[0, 0] * cells[1, 1] / cells[0, 1] / cells[1, 0])
    )
    assert "Fisher" in found.methods()


def test_the_logistic_score_is_that_of_the_nested_model():
    import statsmodels.api as sm

    stack = lesions(4, n=60)
    rng = np.random.default_rng(0)
    age = rng.normal(size=60)
    y = (rng.random(60) < 1 / (1 + np.exp(-age))).astype(int)
    found = map_lesions(
        stack, {"sample": stack.samples, "mut": y}, {"sample": stack.samples, "age": age},
        seed=1, test="logistic", n_permutations=20, min_lesions=6,
    )  # fmt: skip
    design = sm.add_constant(age)
    null = sm.Logit(y, design).fit(disp=0)
    at = int(found.frame["z_score"].abs().fill_nan(-1).arg_max())
    lesion = (stack.values[:, at] != 0).astype(float)
    w = null.predict() * (1 - null.predict())
    full = np.column_stack([design, lesion])
    information = (full.T * w) @ full
    score = lesion @ (y - null.predict())
    variance = 1 / np.linalg.inv(information)[2, 2]
    assert found.frame["z_score"][at] == pytest.approx(score / np.sqrt(variance), rel=1e-5)
    fit = sm.Logit(y, full).fit(disp=0)
    assert found.frame["effect"][at] == pytest.approx(fit.params[2], abs=0.6 * abs(fit.params[2]))


def test_a_planted_region_is_found_and_nothing_else_under_the_null():
    rng = np.random.default_rng(6)
    shape = (6, 7, 6)
    held, found_null = 0, 0
    for draw in range(25):
        middle = rng.uniform(0, np.array(shape) - 1, (50, 3))
        mutated = np.arange(50) < 20
        stack = lesions(draw, n=50, shape=shape, centres=middle)
        table = {"sample": stack.samples, "mut": mutated.astype(int)}
        options = {"seed": draw, "n_permutations": 59, "cluster_p": 0.05, "tfce": False}
        null = map_lesions(stack, table, **options)
        found_null += bool((null.frame["p_voxel"] <= 0.05).any())
        middle[mutated] = (1, 1, 1) + 0.7 * rng.normal(size=(20, 3))
        real = map_lesions(lesions(draw, n=50, shape=shape, centres=middle), table, **options)
        frame = real.frame
        held += frame["p_voxel"].fill_nan(1)[int(np.ravel_multi_index((1, 1, 1), shape))] <= 0.05
    # Exact binomial band of 25 draws at 5 %: at most 5 with probability 0.9988
    assert found_null <= 5
    assert held >= 22


def test_values_are_compared_by_ranks():
    stack = lesions(7, n=40)
    rng = np.random.default_rng(1)
    at = int((stack.values != 0).sum(axis=0).argmax())
    touched = stack.values[:, at] != 0
    survival = rng.exponential(size=40) * np.where(touched, 0.2, 1.0)
    found = map_lesions(
        stack, {"sample": stack.samples, "months": survival}, seed=1, test="brunner_munzel",
        n_permutations=99, min_lesions=4,
    )  # fmt: skip
    assert found.frame["effect"][at] < 0.4
    assert found.frame["z_score"][at] < -1
    assert found.frame["freq_exposed"].is_nan().all()
    with pytest.raises(InputError, match="binary"):
        map_lesions(stack, {"sample": stack.samples, "months": survival}, seed=1)
    with pytest.raises(InputError, match="Covariates go with"):
        map_lesions(
            stack,
            {"sample": stack.samples, "m": touched},
            {"sample": stack.samples, "a": survival},
            seed=1,
        )


def test_atlases_by_hand_and_folded_hemispheres(tmp_path):
    shape = (1, 1, 5)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[0, 3] = -4.0  # x = -4, -2, 0, 2, 4
    space = VoxelSpace(Geometry(affine, shape), np.arange(5))
    masks = np.array([[1, 0, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1.0]], np.float32)
    stack = ImageStack(("a", "b", "c"), masks, space)
    atlas = lesion_atlas(stack, {"a": "wt", "b": "IDH", "c": "IDH"})
    np.testing.assert_allclose(atlas.frame["frequency"], np.array([1, 0, 1, 1, 2]) / 3)
    assert atlas.frame["frequency_IDH"].to_list() == [0, 0, 0.5, 0.5, 1.0]
    low, high = stats.binomtest(2, 3).proportion_ci(method="wilson")
    assert (atlas.frame["ci_low"][4], atlas.frame["ci_high"][4]) == pytest.approx((low, high))
    names = [path.name for path in atlas.write_maps(tmp_path)]
    assert names == ["frequency.nii.gz", "frequency_IDH.nii.gz", "frequency_wt.nii.gz"]
    folded = fold_hemispheres(stack)
    # LPS x = 0, 2, 4 are the midline and the left
    assert folded.space.positions_mm[:, 0].tolist() == [0, 2, 4]
    assert folded.values.tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 1]]
    difference = fold_hemispheres(stack, "difference")
    assert difference.values.tolist() == [[0, -1], [0, 1], [1, 1]]
    affine[0, 3] = 100.0
    with pytest.raises(InputError, match="symmetric"):
        fold_hemispheres(
            ImageStack(("a", "b", "c"), masks, VoxelSpace(Geometry(affine, shape), np.arange(5)))
        )
    with pytest.raises(AlignmentError):
        lesion_atlas(stack, {"z": "wt"})
