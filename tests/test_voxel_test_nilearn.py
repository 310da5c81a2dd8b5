"""Maps with permutation inference: nilearn's values, a grid by hand, naive definitions."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
from scipy import ndimage

from radgen.associate import voxel_test
from radgen.errors import InputError
from radgen.stats.maps import clusters, grid_neighbours, mesh_neighbours, tfce
from radgen.stats.permutation import random_order
from radgen.types import Geometry, ImageStack, SurfaceSpace, VoxelSpace

GOLDEN = Path(__file__).parent / "golden" / "voxelwise"
SHAPE = (4, 6, 5)


def stack_of(values, shape=SHAPE, spacing=(1.0, 1.0, 1.0)):
    names = tuple(f"s{i}" for i in range(len(values)))
    space = VoxelSpace(Geometry.from_spacing(shape, spacing), np.arange(np.prod(shape)))
    return ImageStack(names, np.asarray(values, np.float32), space)


@pytest.fixture(scope="module")
def golden():
    images = np.loadtxt(GOLDEN / "images.csv", delimiter=",")
    people = pl.read_csv(GOLDEN / "people.csv")
    stack = stack_of(images)
    people = people.with_columns(sample=pl.Series(stack.samples))
    return stack, people.select("sample", "x"), people.select("sample", "z0", "z1")


def test_maps_and_their_inference_equal_nilearn(golden):
    stack, predictor, cov = golden
    want = pl.read_csv(GOLDEN / "maps.csv")
    found = voxel_test(
        stack, predictor, cov, seed=3, n_permutations=2_000, connectivity=6, cluster_p=0.05
    )
    np.testing.assert_allclose(found.map("x", "t"), want["t"], atol=2e-5)
    # nilearn sums in steps of 0.005; the exact integral is the limit.
    np.testing.assert_allclose(found.map("x", "tfce"), want["tfce"], rtol=2e-3, atol=2e-2)
    p, q = found.map("x", "p_voxel"), 10.0 ** -want["logp_t"].to_numpy()
    # Monte Carlo errors of 2,000 and 20,000 permutations, four standard errors. nilearn leaves
    # the step out of the permuted TFCE, whose p is therefore another one.
    error = np.sqrt(q * (1 - q) * (1 / 2_000 + 1 / 20_000)) + 1e-3
    assert (np.abs(p - q) < 4 * error).all()


def test_clusters_equal_nilearn(golden):
    stack, predictor, cov = golden
    want = np.loadtxt(GOLDEN / "clusters.csv", delimiter=",", skiprows=1)
    t = voxel_test(stack, predictor, cov, seed=1, n_permutations=0).map("x", "t")
    near = grid_neighbours(np.arange(120), SHAPE, 6)
    sizes, masses = [], []
    for sign in (1, -1):
        label, count = clusters(sign * t, 2.0, near)
        for one in range(1, count + 1):
            sizes.append((label == one).sum())
            masses.append((sign * t[label == one] - 2.0).sum())
    assert max(sizes) == want[0]
    assert max(masses) == pytest.approx(want[1], rel=1e-4)


def test_a_row_of_voxels_by_hand():
    near = grid_neighbours(np.arange(6), (1, 1, 6), 6)
    values = np.array([1.0, 3.0, 2.0, -4.0, 0.0, 5.0])
    # 0..1: three voxels; 1..2: two; 2..3: one. (b^3 - a^3)/3 times the root of the extent.
    low, middle, high = np.sqrt(3) / 3, np.sqrt(2) * 7 / 3, 19 / 3
    want = [low, low + middle + high, low + middle, 0, 0, 125 / 3]
    np.testing.assert_allclose(tfce(values, near), want, rtol=1e-6)
    label, count = clusters(values, 1.5, near)
    assert (label.tolist(), count) == ([0, 1, 1, 0, 0, 2], 2)
    # E = H = 1 with extents of 2 mm3 each
    want = [2 * 3 / 2, 2 * 3 / 2 + 2 * 2 * 3 / 2 + 2 * 5 / 2, 2 * 3 / 2 + 2 * 2 * 3 / 2, 0, 0, 25]
    found = tfce(values, near, np.full(6, 2.0), extent_power=1.0, height_power=1.0)
    want[0], want[1], want[2] = 3.0, 3.0 + 6.0 + 5.0, 3.0 + 6.0
    np.testing.assert_allclose(found, want, rtol=1e-6)


@pytest.mark.parametrize(("connectivity", "rank"), [(6, 1), (18, 2), (26, 3)])
def test_tfce_of_a_masked_grid_equals_stepwise_labels(connectivity, rank):
    rng = np.random.default_rng(connectivity)
    field = ndimage.gaussian_filter(rng.normal(size=(8, 9, 7)), 1.0) * 8
    inside = rng.random(field.shape) < 0.8
    index = np.flatnonzero(inside)
    near = grid_neighbours(index, field.shape, connectivity)
    structure = ndimage.generate_binary_structure(3, rank)
    step, total = 0.002, np.zeros(field.shape)
    for h in np.arange(step / 2, field.max(), step):
        label, count = ndimage.label((field > h) & inside, structure)
        size = np.bincount(label.ravel(), minlength=count + 1).astype(float)
        size[0] = 0
        total += np.sqrt(size)[label] * h**2 * step
    np.testing.assert_allclose(tfce(field[inside], near), total[inside], rtol=3e-3, atol=5e-3)
    label, count = clusters(field[inside], 0.7, near)
    want, n = ndimage.label((field > 0.7) & inside, structure)
    assert count == n
    assert len(set(zip(label.tolist(), want[inside].tolist(), strict=True))) == n + 1


def test_permutations_equal_their_definition_with_covariates_and_gaps():
    rng = np.random.default_rng(8)
    values = ndimage.gaussian_filter(rng.normal(size=(20, *SHAPE)), (0, 1, 1, 1)).reshape(20, -1)
    values = values.astype(np.float32)
    values[2, 30:33] = np.nan
    x, z = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    stack = stack_of(values, spacing=(2.0, 2.0, 2.0))
    table = {"sample": stack.samples, "a": x[:, 0], "b": x[:, 1]}
    cov = {"sample": stack.samples, "z0": z[:, 0], "z1": z[:, 1]}
    options = {"seed": 4, "n_permutations": 40, "cluster_p": 0.05, "connectivity": 18}
    found = voxel_test(stack, table, cov, together=True, **options)
    design = np.column_stack([np.ones(20), z])
    maker = np.eye(20) - design @ np.linalg.pinv(design)
    unit, df = np.zeros((20, 120)), np.full(120, 16.0)
    for k in range(120):
        use = np.isfinite(values[:, k])
        own = np.eye(use.sum()) - design[use] @ np.linalg.pinv(design[use])
        left = own @ values[use, k].astype(float)
        unit[use, k], df[k] = left / np.linalg.norm(left), use.sum() - 4.0
    near = grid_neighbours(np.arange(120), SHAPE, 18)

    def t_of(side):
        side = side @ maker
        r = side @ unit / np.linalg.norm(side, axis=1, keepdims=True)
        return r * np.sqrt(df / (1 - r * r))

    def parts(t):
        enhanced = max(tfce(t, near).max(), tfce(-t, near).max())
        masses = [0.0]
        for sign in (1, -1):
            label, count = clusters(sign * t, cut, near)
            masses += [8 * (sign * t[label == c] - cut).sum() for c in range(1, count + 1)]
        return np.abs(t).max(), enhanced, max(masses)

    from scipy import stats

    cut = stats.t.isf(0.025, 16)
    base = x.T @ maker
    label = np.zeros(20, np.int64)
    null = [[parts(t) for t in t_of(base[:, random_order(label, 4, i)])] for i in range(40)]
    worst = np.array(null).max(axis=1)
    observed = t_of(base)
    for row, name in enumerate("ab"):
        p = ((worst[:, :1] >= np.abs(observed[row]) * (1 - 1e-5)).sum(axis=0) + 1) / 41
        np.testing.assert_allclose(found.map(name, "p_voxel"), p)
        both = tfce(observed[row], near) - tfce(-observed[row], near)
        np.testing.assert_allclose(found.map(name, "tfce"), both, rtol=1e-4, atol=1e-4)
        p = ((worst[:, 1:2] >= np.abs(both) * (1 - 1e-5)).sum(axis=0) + 1) / 41
        np.testing.assert_allclose(found.map(name, "p_tfce"), p, atol=1e-9)
        mass = found.clusters.filter(pl.col("id") == name)
        want = ((worst[:, 2] >= mass["mass"].to_numpy()[:, None] * (1 - 1e-5)).sum(axis=1) + 1) / 41
        np.testing.assert_allclose(mass["p_mass"], want)
        np.testing.assert_allclose(mass["extent"], 8.0 * mass["n_points"])
    alone = voxel_test(stack, table, cov, names=["b"], **options)
    assert (alone.map("b", "p_voxel") <= found.map("b", "p_voxel") + 1e-12).all()


def test_few_people_are_permuted_exactly():
    rng = np.random.default_rng(1)
    stack = stack_of(rng.normal(size=(5, 8)), shape=(2, 2, 2))
    found = voxel_test(stack, {"sample": stack.samples, "x": rng.normal(size=5)}, seed=1)
    assert found.params["exact"]
    assert found.params["n_permutations"] == 119
    p = found.map("x", "p_voxel")
    assert np.round(p * 120) == pytest.approx(p * 120)


def test_maps_are_written_and_read_back(tmp_path):
    rng = np.random.default_rng(2)
    stack = stack_of(rng.normal(size=(12, 120)), spacing=(3.0, 2.0, 2.0))
    found = voxel_test(
        stack, {"sample": stack.samples, "gene/1": rng.normal(size=12)}, seed=1, n_permutations=20
    )
    files = found.write_maps(tmp_path / "maps")
    assert tmp_path / "maps" / "gene_1_t.nii.gz" in files
    image = nibabel.load(tmp_path / "maps" / "gene_1_beta.nii.gz")
    np.testing.assert_allclose(image.get_fdata().T.ravel(), found.map("gene/1", "beta"), rtol=1e-6)
    assert image.header.get_zooms()[:3] == (2.0, 2.0, 3.0)
    back = type(found).decode(*found.encode())
    np.testing.assert_array_equal(back.places().index, stack.space.index)
    assert "permut" in found.methods()
    assert "largest |t|" in found.statements()[1]
    with pytest.raises(InputError, match="No predictor"):
        found.map("gene")
    many = {"sample": stack.samples} | {f"g{i}": rng.normal(size=12) for i in range(51)}
    with pytest.raises(InputError, match="1 to 50"):
        voxel_test(stack, many, seed=1)


def test_a_surface_needs_its_mesh_for_clusters():
    rng = np.random.default_rng(3)
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    values = rng.normal(size=(15, 4)).astype(np.float32)
    names = tuple(f"s{i}" for i in range(15))
    table = {"sample": names, "x": rng.normal(size=15)}
    bare = ImageStack(names, values, SurfaceSpace(4, np.arange(4)))
    with pytest.raises(InputError, match="mesh"):
        voxel_test(bare, table, seed=1, n_permutations=10)
    alone = voxel_test(bare, table, seed=1, n_permutations=10, tfce=False, cluster_p=None)
    whole = ImageStack(names, values, SurfaceSpace(4, np.arange(4), points, faces))
    found = voxel_test(whole, table, seed=1, n_permutations=10, cluster_p=0.4)
    np.testing.assert_array_equal(alone.map("x", "p_voxel"), found.map("x", "p_voxel"))
    assert mesh_neighbours(faces, np.arange(4), 4).indices.tolist() == [
        1,
        2,
        3,
        0,
        2,
        0,
        1,
        3,
        0,
        2,
    ]
    if found.clusters.height:
        assert found.clusters["extent"].max() <= 1.0
