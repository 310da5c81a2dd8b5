"""C kernels of texture and shape against their slow definitions in NumPy and Python."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from radgen._native import _image
from radgen.features import _splitting
from radgen.features._autocorrelation import PairSums, inverse_distance_sums
from radgen.features._enclose import enclosing_ellipsoid, hull_of, lattice_hull, oriented_box
from radgen.features._mesh import cube_triangles, mesh_of
from radgen.features._region import Region
from radgen.features._view import View, directions
from radgen.features.local_intensity import RADIUS_MM, _ball_rows, local_intensity
from radgen.features.settings import ExtractionSettings
from radgen.types import Geometry, Mask

SHAPES = [(1, 1, 1), (3, 5, 4), (1, 7, 6), (4, 1, 1), (5, 6, 9)]
TYPES = [np.uint8, np.uint16]


def volume(shape, dtype, *, n_levels=4, margin=1, seed=0, holes=0.3):
    rng = np.random.default_rng(seed)
    inner = rng.integers(1, n_levels + 1, shape)
    inner[rng.random(shape) < holes] = 0
    return np.pad(inner, margin).astype(dtype)


def inside(levels):
    return [tuple(int(i) for i in at) for at in np.argwhere(levels)]


def shifted(at, step, times=1):
    return tuple(a + times * int(s) for a, s in zip(at, step, strict=True))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distance", [1, 2])
@pytest.mark.parametrize("in_plane", [False, True])
def test_glcm(dtype, shape, distance, in_plane):
    levels = volume(shape, dtype, margin=distance)
    steps = directions(in_plane=in_plane, distance=distance)
    n_slices = levels.shape[0] if in_plane else 1
    expected = np.zeros((n_slices, len(steps), 5, 5), np.uint32)
    for at, (d, step) in itertools.product(inside(levels), enumerate(steps)):
        other = levels[shifted(at, step)]
        if other:
            expected[at[0] if in_plane else 0, d, levels[at], other] += 1
    out = np.zeros_like(expected)
    _image.glcm(levels, steps, 4, int(in_plane), out)
    np.testing.assert_array_equal(out[:, :, 1:, 1:], expected[:, :, 1:, 1:])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("in_plane", [False, True])
def test_glrlm(dtype, shape, in_plane):
    levels = volume(shape, dtype, n_levels=2, holes=0.1)
    steps = directions(in_plane=in_plane)
    n_slices = levels.shape[0] if in_plane else 1
    longest = max(levels.shape[1:] if in_plane else levels.shape)
    expected = np.zeros((n_slices, len(steps), 3, longest + 1), np.uint32)
    for at, (d, step) in itertools.product(inside(levels), enumerate(steps)):
        if levels[shifted(at, step, -1)] == levels[at]:
            continue
        run = 1
        while levels[shifted(at, step, run)] == levels[at]:
            run += 1
        expected[at[0] if in_plane else 0, d, levels[at], run] += 1
    pairs = np.zeros((n_slices, len(steps), 3, 3), np.uint32)
    _image.glcm(levels, steps, 2, int(in_plane), pairs)
    for equal in (None, np.ascontiguousarray(pairs.diagonal(axis1=2, axis2=3))):
        out = np.zeros_like(expected)
        _image.glrlm(levels, steps, 2, int(in_plane), equal, out)
        np.testing.assert_array_equal(out[:, :, 1:], expected[:, :, 1:])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (9, 17, 23)])
@pytest.mark.parametrize("in_plane", [False, True])
def test_zones(dtype, shape, in_plane):
    levels = volume(shape, dtype, n_levels=2, holes=0.2)
    far = np.random.default_rng(3).integers(1, 9, levels.shape).astype(np.uint16)
    joined = np.ones((3, 3, 3))
    if in_plane:
        joined[[0, 2]] = 0
    expected = []
    for level in (1, 2):
        labels, count = ndimage.label(levels == level, joined)
        for zone in range(1, count + 1):
            where = labels == zone
            expected.append((level, where.sum(), far[where].min(), np.argwhere(where)[0, 0]))
    n = np.count_nonzero(levels)
    out = [np.zeros(n, t) for t in (np.uint16, np.uint32, np.uint16, np.int32)]
    back = np.ascontiguousarray(-directions(in_plane=in_plane))
    count = _image.zones(levels, far, back, *out)
    # The kernel counts slices from the first inside the margin.
    first = 0 if in_plane else 1
    found = [(a, b, c, d + first) for a, b, c, d in zip(*(x[:count] for x in out), strict=True)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reach", [1, 2])
@pytest.mark.parametrize("in_plane", [False, True])
def test_neighbourhoods(dtype, shape, reach, in_plane):
    levels = volume(shape, dtype, margin=reach)
    side = range(-reach, reach + 1)
    box = [s for s in itertools.product([0] if in_plane else side, side, side) if any(s)]
    groups = levels.shape[0] if in_plane else 1
    count = np.zeros((groups, 5, len(box) + 1), np.int64)
    gap = np.zeros_like(count)
    like = {alpha: np.zeros((groups, 5, len(box) + 2), np.uint32) for alpha in (0, 1)}
    for at in inside(levels):
        near = [int(levels[shifted(at, s)]) for s in box]
        near = [level for level in near if level]
        level, group = int(levels[at]), at[0] if in_plane else 0
        count[group, level, len(near)] += 1
        gap[group, level, len(near)] += abs(level * len(near) - sum(near))
        for alpha, matrix in like.items():
            matrix[group, level, 1 + sum(abs(other - level) <= alpha for other in near)] += 1
    out_count, out_gap = np.zeros_like(count), np.zeros_like(gap)
    _image.ngtdm(levels, reach, 4, int(in_plane), out_count, out_gap)
    np.testing.assert_array_equal(out_count[:, 1:], count[:, 1:])
    np.testing.assert_array_equal(out_gap[:, 1:], gap[:, 1:])
    for alpha, matrix in like.items():
        out = np.zeros_like(matrix)
        _image.ngldm(levels, reach, 4, int(in_plane), alpha, out)
        np.testing.assert_array_equal(out[:, 1:], matrix[:, 1:])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("in_plane", [False, True])
def test_distance_map(shape, in_plane):
    mask = (volume(shape, np.uint8, holes=0.1) > 0).astype(np.uint8)
    out = np.zeros(mask.shape, np.uint16)
    _image.distance_map(mask, int(in_plane), out)
    if in_plane:
        expected = np.stack([ndimage.distance_transform_cdt(part, "taxicab") for part in mask])
    else:
        expected = ndimage.distance_transform_cdt(mask, "taxicab")
    np.testing.assert_array_equal(out, expected)


def test_cube_types():
    mask = (volume((4, 5, 6), np.uint8) > 0).astype(np.uint8)
    counts, sums = np.zeros(256, np.int64), np.zeros((256, 3), np.int64)
    _image.cube_types(mask, counts, sums)
    expected, places = np.zeros_like(counts), np.zeros_like(sums)
    for at in itertools.product(*(range(n - 1) for n in mask.shape)):
        kind = sum(
            int(mask[at[0] + (b >> 1 & 1), at[1] + (b & 1), at[2] + (b >> 2 & 1)]) << b
            for b in range(8)
        )
        expected[kind] += 1
        places[kind] += 0 if kind in (0, 255) else np.array(at)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(sums, places)


def edges_of(triangles):
    for a, b, c in triangles:
        yield from ((tuple(a), tuple(b)), (tuple(b), tuple(c)), (tuple(c), tuple(a)))


def test_mesh_is_closed_and_its_volume_is_that_of_its_triangles():
    mask = volume((5, 6, 7), np.uint8) > 0
    spacing = (2.0, 1.0, 0.5)
    triangles = []
    for at in itertools.product(*(range(n - 1) for n in mask.shape)):
        corner = mask[tuple(slice(i, i + 2) for i in at)]
        kind = sum(int(corner[b >> 1 & 1, b & 1, b >> 2 & 1]) << b for b in range(8))
        triangles.append(cube_triangles(kind) + np.array(at))
    every = np.concatenate(triangles)
    edges = list(edges_of(every))
    # Each directed edge meets its opposite as often as it occurs: no holes.
    for edge in set(edges):
        assert edges.count(edge) == edges.count(edge[::-1])
    points = every * spacing
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]) / 2
    mesh = mesh_of(mask[1:-1, 1:-1, 1:-1].copy(), spacing)
    assert mesh.area_mm2 == pytest.approx(np.linalg.norm(normals, axis=1).sum())
    assert mesh.volume_mm3 == pytest.approx(abs((points.mean(axis=1) * normals).sum() / 3))


def test_outermost_vertices_span_the_hull_of_all():

    mask = volume((5, 6, 7), np.uint8, margin=0) > 0
    spacing = np.array((2.0, 1.0, 0.5))
    points = []
    padded = np.pad(mask, 1)
    for axis in range(3):
        crossed = np.argwhere(np.diff(padded.astype(int), axis=axis)).astype(float)
        crossed[:, axis] += 0.5
        points.append(crossed - 1)
    every = np.concatenate(points) * spacing
    mesh, full = mesh_of(mask, tuple(spacing)), ConvexHull(every)
    hull = lattice_hull(mesh.places, mesh.half_mm)
    assert hull.volume == pytest.approx(full.volume)
    assert hull.area == pytest.approx(full.area)
    assert hull.diameter == pytest.approx(cdist(every, every).max())


def test_ball_sums():
    spacing = (3.0, 2.5, 2.0)
    rows = _ball_rows(spacing)
    reach = np.abs(rows).max(axis=0) + np.array([0, 0, 1])
    rng = np.random.default_rng(0)
    shape = tuple(int(2 * r + n) for r, n in zip(reach, (2, 3, 3), strict=True))
    values = rng.normal(size=shape)
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(r, -r) for r in reach)] = 1
    running = np.zeros((shape[0], shape[1], shape[2] + 1))
    running[:, :, 1:] = values.cumsum(axis=2)
    out = np.zeros_like(running)
    _image.ball_sums(running, rows, np.pad(mask, ((0, 0), (0, 0), (0, 1))), out)
    places = np.argwhere(np.ones(shape)) * spacing
    for at in np.argwhere(mask):
        near = np.linalg.norm(places - at * spacing, axis=1) <= RADIUS_MM
        assert out[tuple(at)] == pytest.approx(values.ravel()[near].sum())


@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 70)])
def test_line_ends_moments_and_scatter(shape):
    rng = np.random.default_rng(3)
    mask = (rng.random(shape) < 0.4).astype(np.uint8)
    mask[-1, -1] = 1  # a run without holes
    z, y, x = shape
    ends = [np.empty((2, *size), np.int32) for size in ((y, x), (z, x), (z, y))]
    _image.line_ends(mask, *ends)
    for axis, (first, last) in enumerate(ends):
        lines = np.moveaxis(mask, axis, 2)
        for at in np.ndindex(first.shape):
            found = np.flatnonzero(lines[at])
            expected = (found[0], found[-1]) if found.size else (shape[axis], -1)
            assert (first[at], last[at]) == expected
    places, values = np.argwhere(mask), rng.normal(size=int(mask.sum()))
    whole, sums = np.zeros(10, np.int64), np.zeros(4)
    _image.mask_moments(mask, values, whole, sums)
    products = [
        (places[:, i] * places[:, j]).sum()
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    ]
    np.testing.assert_array_equal(whole, [len(places), *places.sum(axis=0), *products])
    np.testing.assert_allclose(sums, [values.sum(), *(values @ places)], rtol=1e-12, atol=1e-12)
    levels = rng.integers(1, 9, len(places)).astype(np.uint16)
    out = np.zeros(np.array(shape) + 4, np.uint16)
    _image.scatter(mask, levels, out)
    expected = np.zeros(shape, np.uint16)
    expected[mask > 0] = levels
    np.testing.assert_array_equal(out, np.pad(expected, 2))


@pytest.mark.parametrize("kind", ["inner", "at the border", "NaN", "flat", "infinite"])
@pytest.mark.parametrize("spacing", [(3.0, 2.0, 1.5), (9.0, 1.2, 2.0)])
def test_intensity_peaks_are_means_over_a_ball(kind, spacing):
    rng = np.random.default_rng(7)
    shape = (9, 20, 22)
    image = (rng.normal(size=shape) + 1000.0).astype(np.float32)
    mask = np.zeros(shape, bool)
    inner = (slice(4, 5), slice(8, 12), slice(9, 14))
    mask[inner if kind == "inner" else (slice(0, 3), slice(15, 20), slice(0, 12))] = True
    if kind == "NaN":
        image[rng.random(shape) < 0.1] = np.nan
        mask &= ~np.isnan(image)
    if kind == "flat":
        image[:] = 12.5
    if kind == "infinite":
        image[8, 0, 21] = np.inf
    geometry = Geometry.from_spacing(shape, spacing)
    region = Mask(mask, geometry)
    view = View(Region(region, region), image, ExtractionSettings())
    found = local_intensity(view)[""]
    places = np.indices(shape).reshape(3, -1).T * spacing
    means = []
    for at in np.argwhere(mask):
        near = np.linalg.norm(places - at * spacing, axis=1) <= RADIUS_MM
        means.append(np.nanmean(image.ravel()[near], dtype=np.float64))
    peak = image[mask] == image[mask].max()
    expected = [np.max(np.array(means)[peak]), np.max(means)]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


# one voxel thick, lines longer than a block of lanes, sizes of factors 2, 3 and 5
PAIR_SHAPES = [(3, 6, 5), (1, 9, 4), (5, 1, 20), (18, 3, 2), (7, 8, 9), (1, 1, 1), (2, 25, 3)]


@pytest.mark.parametrize("shape", PAIR_SHAPES)
@pytest.mark.parametrize(("single", "bound"), [(1 << 20, 1e-11), (0, 1e-6)])
def test_spatial_autocorrelation_is_the_sum_over_all_pairs(monkeypatch, shape, single, bound):
    monkeypatch.setattr("radgen.features._autocorrelation._SINGLE", single)
    rng = np.random.default_rng(2)
    mask = rng.random(shape) < 0.7
    mask.flat[0] = True
    spacing = (3.0, 1.0, 2.0)
    y = rng.normal(size=np.count_nonzero(mask))
    gaps = cdist(*[np.argwhere(mask) * spacing] * 2)
    weight = np.divide(1.0, gaps, out=np.zeros_like(gaps), where=gaps > 0)
    expected = np.array([weight.sum(), y @ weight @ y, weight.sum(axis=1) @ y**2])
    # in single precision the bound holds relative to the sum without signs
    slack = bound * max(1.0, weight.sum()) * max(1.0, (y**2).max())
    found = inverse_distance_sums(mask, y, spacing)
    np.testing.assert_allclose(found, expected, rtol=bound, atol=slack if single == 0 else 1e-11)


def test_autocorrelation_in_single_precision_and_in_parts(monkeypatch):
    rng = np.random.default_rng(5)
    mask = rng.random((21, 18, 30)) < 0.7
    y = rng.normal(size=np.count_nonzero(mask)) + 1.0
    double = inverse_distance_sums(mask, y, (2.0, 1.0, 1.5))
    monkeypatch.setattr("radgen.features._autocorrelation._SINGLE", 0)
    sums = PairSums(mask, y, (2.0, 1.0, 1.5))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda part: part(), sums.parts()))
    # the documented bound of single precision
    np.testing.assert_allclose(sums.total(), double, rtol=1e-6)


def waves_of_points(points, step):
    """What a point of a line gives to each item of the line thinned out, by definition."""
    side = _splitting.WIDTH * step // 2
    gap = (np.arange(_splitting.reached(60, step)) - _splitting.WIDTH / 2 + 1) * step - points
    inside = np.abs(gap) < side
    return np.where(inside, _splitting._bell(_splitting._ROUND, inside * gap / side), 0.0)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_thinned_out_grid_holds_the_far_part_of_the_inverse_distance(step):
    # Voxels along a line and off it; the documented bound, 3e-8 of the inverse of the reach.
    reach = float(_splitting.REACH * step)
    points = np.arange(60)[:, None]
    weight = waves_of_points(points, step) if step > 1 else np.eye(60)
    extra = _splitting.TERMS if step > 1 else 0
    line = np.arange(weight.shape[1] + extra) * float(step)
    for off in (0.0, 0.4 * reach):
        kernel = _splitting.far(np.hypot(line, off)[:, None, None], reach)
        if step > 1:
            kernel = _splitting.restored(kernel, 0)
        gap = np.abs(np.subtract.outer(*[np.arange(weight.shape[1])] * 2))
        found = weight @ kernel[:, 0, 0][gap] @ weight.T
        distance = np.hypot(points - points.T, off)
        np.testing.assert_allclose(
            found, _splitting.far(distance, reach), rtol=0, atol=3e-8 / reach
        )


def test_near_and_far_parts_add_up_to_the_inverse_distance():
    distance = np.linspace(0.0, 50.0, 401)
    near, far = _splitting.near(distance, 20.0), _splitting.far(distance, 20.0)
    np.testing.assert_allclose((near + far)[1:], 1.0 / distance[1:], rtol=1e-12)
    assert abs(near[0] + far[0]) < 1e-15  # a voxel does not pair with itself
    assert not near[distance >= 20.0].any()
    # By quadrature: the share of the far part is that of the window's integral.
    place = np.linspace(0.0, 1.0, 20001)
    area = np.cumsum(_splitting._bell(_splitting._SHARP, place))
    expected = area[8000] / area[-1] / 8.0
    np.testing.assert_allclose(_splitting.far(np.array([8.0]), 20.0), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((30, 26, 34), (1.0, 1.0, 1.0)), ((20, 40, 37), (2.5, 1.0, 0.8))]
)
def test_sums_over_pairs_in_two_parts(monkeypatch, shape, spacing):
    rng = np.random.default_rng(6)
    mask = rng.random(shape) < 0.6
    y = rng.normal(size=np.count_nonzero(mask)) + 1.0
    double = inverse_distance_sums(mask, y, spacing)
    monkeypatch.setattr("radgen.features._autocorrelation._SINGLE", 0)
    monkeypatch.setattr("radgen.features._splitting._GAIN", np.inf)
    sums = PairSums(mask, y, spacing)
    assert sums._split is not None
    assert max(sums._split.steps) > 1
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda part: part(), sums.parts()))
    np.testing.assert_allclose(sums.total(), double, rtol=1e-6)
    # A wrong filter must show: the same far part, not restored.
    monkeypatch.setattr("radgen.features._splitting.restoring", lambda: np.eye(13)[0] / 8.0)
    assert abs(PairSums(mask, y, spacing).total()[0] / double[0] - 1.0) > 1e-4


def boxes_by_definition(points):
    """The smallest box with a face on a facet, over all facets and sides of the shadow."""
    hull = ConvexHull(points)
    best = np.inf
    for normal in hull.equations[:, :3]:
        u = np.linalg.svd(normal[None])[2][1:]
        flat = points[hull.vertices] @ u.T
        ring = flat[ConvexHull(flat).vertices]
        for edge in np.roll(ring, -1, axis=0) - ring:
            edge = edge / np.linalg.norm(edge)
            along, across = ring @ edge, ring @ np.array([-edge[1], edge[0]])
            best = min(best, np.ptp(along) * np.ptp(across) * np.ptp(points @ normal))
    return best


@pytest.mark.parametrize("sizes", [(16.3, 16.3, 16.3), (8.1, 17.2, 24.4), (4.2, 21.0, 21.3)])
def test_bounds_leave_no_oriented_box_out(sizes):
    grid = (
        np.indices([2 * int(n) + 5 for n in sizes])
        - np.array([int(n) + 2 for n in sizes])[:, None, None, None]
    )
    tilted = grid[0] + 0.2 * grid[1], grid[1] - 0.3 * grid[2], grid[2] + 0.1 * grid[0]
    mask = sum((axis / n) ** 2 for axis, n in zip(tilted, sizes, strict=True)) <= 1.0
    mesh = mesh_of(mask, (1.0, 0.8, 1.1))
    hull = lattice_hull(mesh.places, mesh.half_mm)
    columns = [np.ascontiguousarray(item.T) for item in (hull.points, hull.planes)]
    which = np.arange(len(hull.planes), dtype=np.int32)
    assert which.size > 300  # so that bounds are used; pieces of 100 planes are searched whole
    found, piece, volumes = np.zeros(3), np.zeros(3), []
    _image.smallest_box(*columns, hull.edges, which, found)
    for first in range(0, which.size, 100):
        _image.smallest_box(*columns, hull.edges, which[first : first + 100].copy(), piece)
        volumes.append(piece.prod())
    np.testing.assert_allclose(found.prod(), min(volumes), rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_oriented_box_is_the_smallest_of_all_facets(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 12, 3))
    mask = rng.random(shape) < 0.4
    mask[tuple(n // 2 for n in shape)] = True
    mesh = mesh_of(mask, tuple(rng.uniform(0.5, 3.0, 3)))
    vertices, hull = mesh.places * mesh.half_mm, lattice_hull(mesh.places, mesh.half_mm)
    assert np.prod(oriented_box(hull_of(vertices))) == pytest.approx(np.prod(oriented_box(hull)))
    assert hull.diameter == pytest.approx(cdist(vertices, vertices).max(), rel=1e-12)
    assert np.prod(oriented_box(hull)) == pytest.approx(boxes_by_definition(vertices), rel=1e-8)
    # The optimum: every vertex within, and the weights of those that touch hold it together.
    axes = enclosing_ellipsoid(hull.points)
    again = enclosing_ellipsoid(vertices)
    assert np.prod(axes) == pytest.approx(np.prod(again), rel=3e-6)


def test_oriented_box_and_ellipsoid_of_a_turned_brick():
    angle = 0.4
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    brick = np.array(list(itertools.product((0.0, 7.0), (0.0, 3.0), (0.0, 2.0)))) @ turn
    hull = hull_of(brick)
    np.testing.assert_allclose(sorted(oriented_box(hull)), [2, 3, 7], rtol=1e-6)
    # The smallest ellipsoid around a box has semi-axes sqrt(3) times its half edges; it is
    # found within one part in a million.
    axes = enclosing_ellipsoid(hull.points)
    np.testing.assert_allclose(axes, np.sqrt(3) * np.array([3.5, 1.5, 1.0]), rtol=1e-6)


BAD = {
    "wrong dtype": lambda a: a.astype(np.int16),
    "wrong axes": lambda a: a[0],
    "not contiguous": lambda a: a[:, :, ::2],
    "margin not zero": lambda a: np.where(a == 0, 1, a).astype(a.dtype),
    "level too high": lambda a: (a * 60).astype(a.dtype),
    "no array": lambda _a: "levels",
    "no inside": lambda a: a[:, :2].copy(),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("kernel", ["glcm", "glrlm", "zones", "ngtdm", "ngldm"])
def test_kernels_refuse_bad_levels(fault, kernel):
    levels = volume((4, 5, 6), np.uint8, holes=0.0)
    bad = BAD[fault](levels)
    steps = directions(in_plane=False)
    matrix = np.zeros((1, 13, 5, 5 if kernel == "glcm" else 9), np.uint32)
    counts = [np.zeros((1, 5, 27), np.int64) for _ in range(2)]
    zones = [np.zeros(120, t) for t in (np.uint16, np.uint32, np.uint16, np.int32)]
    calls = {
        "glcm": lambda a: _image.glcm(a, steps, 4, 0, matrix),
        "glrlm": lambda a: _image.glrlm(a, steps, 4, 0, None, matrix),
        "zones": lambda a: _image.zones(a, np.zeros(levels.shape, np.uint16), -steps, *zones),
        "ngtdm": lambda a: _image.ngtdm(a, 1, 4, 0, *counts),
        "ngldm": lambda a: _image.ngldm(a, 1, 4, 0, 0, np.zeros((1, 5, 28), np.uint32)),
    }
    calls[kernel](levels)
    if kernel == "zones" and fault == "level too high":
        return
    with pytest.raises(ValueError, match=":|inside"):
        calls[kernel](bad)


def test_kernels_refuse_bad_arguments():
    levels = volume((4, 5, 6), np.uint8)
    steps = directions(in_plane=False)
    good = np.zeros((1, 13, 5, 5), np.uint32)
    sealed = good.copy()
    sealed.setflags(write=False)
    for bad in (good[:, :5], good.astype(np.int32), np.zeros((1, 13, 5, 6), np.uint32), sealed):
        with pytest.raises(ValueError, match="out"):
            _image.glcm(levels, steps, 4, 0, bad)
    with pytest.raises(ValueError, match="leaves the slice"):
        _image.glcm(levels, steps, 4, 1, good)
    with pytest.raises(ValueError, match="half space"):
        _image.glrlm(levels, np.array([[0, 0, -1]], np.int32), 4, 0, None, good)
    with pytest.raises(ValueError, match="half space or is zero"):
        _image.glcm(levels, np.zeros((1, 3), np.int32), 4, 0, good)
    with pytest.raises(ValueError, match="n_levels"):
        _image.glcm(levels, steps, 70000, 0, good)
    with pytest.raises(ValueError, match="distance"):
        _image.ngldm(levels, 16, 4, 0, 0, np.zeros((1, 5, 28), np.uint32))
    few = [np.zeros(3, t) for t in (np.uint16, np.uint32, np.uint16, np.int32)]
    with pytest.raises(ValueError, match="may each be a zone"):
        _image.zones(levels, np.zeros(levels.shape, np.uint16), -steps, *few)


def test_volume_histogram_of_distinct_values_is_that_of_steps():
    from radgen.features.ivh import _of_steps, _of_values

    rng = np.random.default_rng(5)
    for values in (rng.normal(size=200), rng.integers(0, 9, 50) + 0.5, np.array([1.5, 1.5, 2.0])):
        level, count = np.unique(values, return_counts=True)
        expected = _of_steps(level, count.astype(float))
        np.testing.assert_allclose(_of_values(np.sort(values)), expected, rtol=1e-12)


def test_tiles_give_the_matrices_of_each_alone():
    """Groups of slices kept apart by zeros (window maps) equal one call a group."""
    tiles = [volume((3, 4, 5), np.uint8, margin=0, seed=seed) for seed in range(4)]
    apart = [np.pad(tile, ((0, 1), (1, 1), (1, 1))) for tile in tiles]
    stack = np.pad(np.concatenate(apart), ((1, 1), (0, 0), (0, 0)))
    steps = directions(in_plane=False)
    glcm, runs = np.zeros((4, 13, 5, 5), np.uint32), np.zeros((4, 13, 5, 8), np.uint32)
    _image.glcm(stack, steps, 4, 4, glcm)
    _image.glrlm(stack, steps, 4, 4, None, runs)
    like = np.zeros((4, 5, 28), np.uint32)
    _image.ngldm(stack, 1, 4, 4, 0, like)
    for k, tile in enumerate(tiles):
        alone = np.pad(tile, 1)
        one = np.zeros((1, 13, 5, 5), np.uint32)
        _image.glcm(alone, steps, 4, 0, one)
        np.testing.assert_array_equal(glcm[k, :, 1:, 1:], one[0, :, 1:, 1:])
        one = np.zeros((1, 13, 5, 8), np.uint32)
        _image.glrlm(alone, steps, 4, 0, None, one)
        np.testing.assert_array_equal(runs[k, :, 1:], one[0, :, 1:])
        one = np.zeros((1, 5, 28), np.uint32)
        _image.ngldm(alone, 1, 4, 0, 0, one)
        np.testing.assert_array_equal(like[k, 1:], one[0, 1:])


@pytest.mark.parametrize("n", [1, 7, 8, 511, 512, 513, 5000])
def test_power_sums_are_the_sums(n):
    rng = np.random.default_rng(n)
    x = 1000.0 + rng.normal(0, 3, n)
    mean, median, out = x.mean(), float(np.median(x)), np.empty(6)
    _image.power_sums(x, mean, median, out)
    gap = (x - mean).astype(np.longdouble)
    want = [abs(gap).sum(), *((gap**k).sum() for k in (2, 3, 4)), abs(x - median).sum()]
    want.append((x.astype(np.longdouble) ** 2).sum())
    size = np.array([float((abs(gap) ** k).sum()) for k in (1, 2, 3, 4)] + [want[4], want[5]])
    assert np.all(np.abs(out - np.array(want, float)) <= 1e-14 * size + 1e-300)


@pytest.mark.parametrize("count", [1, 2, 32, 255, 256, 65535])
def test_number_levels_are_those_of_the_definition(count):
    rng = np.random.default_rng(count)
    x = np.round(rng.normal(0, 50, 3000), 1)
    low, high = float(x.min()), float(x.max())
    out = np.empty(x.size, np.uint8 if count < 256 else np.uint16)
    _image.number_levels(x, count, low, high, out)
    want = np.minimum(np.floor(count * (x - low) / (high - low)) + 1.0, count)
    assert (out == want).all()
    for bad in ((low + 1, high), (low, low), (low, np.inf), (np.nan, high)):
        with pytest.raises(ValueError, match=r"low|range"):
            _image.number_levels(x, count, *bad, out)
    with pytest.raises(ValueError, match="levels do not fit"):
        _image.number_levels(x, 70000, low, high, out)


def test_whole_counts_are_those_of_the_definition():
    rng = np.random.default_rng(12)
    x = rng.integers(-40, 300, 2000).astype(np.float64)
    out = np.zeros(341, np.int64)
    assert _image.whole_counts(x, -40.0, out)
    np.testing.assert_array_equal(out, np.bincount((x + 40).astype(int), minlength=341))
    for bad in (300.5, np.nan, np.inf, -41.0, 301.0):
        x[1500] = bad
        assert not _image.whole_counts(x, -40.0, np.zeros(341, np.int64))


@pytest.mark.parametrize("spoiled", [False, True])
def test_values_are_sorted_alike_whether_counted_or_not(spoiled):
    rng = np.random.default_rng(13)
    values = rng.integers(-1000, 500, (9, 10, 11)).astype(np.float64)
    values[0, 0, 0] += 0.5 * spoiled
    inside = rng.random(values.shape) < 0.7
    inside[0, 0, 0] = True
    mask = Mask(inside, Geometry.from_spacing(values.shape))
    view = View(Region(mask, mask), values, ExtractionSettings())
    assert (view.whole_counts is None) == spoiled
    np.testing.assert_array_equal(view.sorted_values, np.sort(view.values))


@pytest.mark.parametrize("shape", [(4, 37, 50), (9, 2, 3), (1, 18, 1), (30, 5, 33)])
def test_sums_of_levels_over_a_ball_are_the_sums(shape):
    from radgen.features.local_intensity import _level_sums

    rng = np.random.default_rng(14)
    rows = _ball_rows((4.0, 2.5, 3.0))
    reach = np.abs(rows).max(axis=0)
    levels = rng.integers(0, 256, np.array(shape) + 2 * reach).astype(np.uint8)
    mask = rng.random(shape) < 0.3
    mask[-1, -1, -1] = True
    ball = [(z, y, x) for z, y, half in rows for x in range(-half, half + 1)]
    places = np.argwhere(mask)[:, None] + reach + np.array(ball)
    expected = levels[tuple(np.moveaxis(places, 2, 0))].sum(axis=1, dtype=np.int64)
    np.testing.assert_array_equal(_level_sums(levels, rows, mask), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("top", [1, 7, 255])
def test_levels_of_any_run_along_a_row_err_by_one(dtype, top):
    rng = np.random.default_rng(top)
    image = rng.normal(size=(3, 4, 40)).astype(dtype)
    image[1, 2, 5:9] = np.nan
    low, high = np.nanmin(image), np.nanmax(image)
    scale = top / float(high - low)
    out = np.full((5, 4, 30), 77, np.uint8)
    start = np.array([-1, 2, 15])
    _image.row_levels(image, float(low), scale, start, out)
    exact = np.zeros(out.shape)
    part = np.nan_to_num((image[:, 2:, 15:].astype(np.float64) - float(low)) * scale, nan=0.0)
    exact[1:4, :2, :25] = part
    sums = np.pad(np.cumsum(out - exact, axis=2), ((0, 0), (0, 0), (1, 0)))
    assert np.ptp(sums, axis=2).max() <= 1.0 + 30 * 2.0**-15  # of all runs
    assert (out[0] == 0).all()
    assert out[1:4, :2].max() <= top
    whole = np.empty((3, 4, 40), np.uint8)
    _image.row_levels(image, float(low), scale, np.zeros(3, np.int64), whole)
    assert (whole[1, 2, 5:9] <= 1).all()
    with pytest.raises(ValueError, match="meets the image"):
        _image.row_levels(image, 0.0, 1.0, np.array([3, 0, 0]), whole)


@pytest.mark.parametrize("seed", range(8))
def test_lattice_hull_is_the_hull_of_all_points(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, rng.choice([2, 4, 9, 200, 1 << 18]), (int(rng.integers(8, 400)), 3))
    points = np.unique(points, axis=0).astype(np.int32)
    rng.shuffle(points)
    steps = tuple(rng.uniform(0.2, 3.0, 3))
    found, full = lattice_hull(points, steps), ConvexHull(points * np.array(steps))
    assert found.volume == pytest.approx(full.volume, rel=1e-9)
    assert found.area == pytest.approx(full.area, rel=1e-9)
    planes = np.unique(np.round(full.equations[:, :3], 8) + 0.0, axis=0)
    assert len(found.planes) == len(planes)
    # Nothing lies outside, every corner of the full hull is there, and edges close around planes.
    reach = found.points @ found.planes.T
    slack = 1e-12 * full.points.max()
    assert (full.points @ found.planes.T <= reach.max(axis=0) + slack).all()
    corners = {tuple(p) for p in found.points}
    assert {tuple(p) for p in full.points[full.vertices]} <= corners
    left, right, start, end = found.edges.T
    for plane in range(len(found.planes)):
        out = np.r_[start[left == plane], end[right == plane]]
        into = np.r_[end[left == plane], start[right == plane]]
        np.testing.assert_array_equal(np.sort(out), np.sort(into))
    with pytest.raises(ValueError, match="in a plane"):
        lattice_hull((points * [1, 1, 0]).astype(np.int32), steps)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_level_counts_are_those_of_numpy(dtype):
    levels = np.random.default_rng(15).integers(0, 200, 5001).astype(dtype)
    out = np.zeros(260, np.int64)
    _image.level_counts(levels, out)
    np.testing.assert_array_equal(out, np.bincount(levels, minlength=260))
    with pytest.raises(ValueError, match="not below"):
        _image.level_counts(levels, np.zeros(150, np.int64))


def test_statistics_of_counted_intensities_are_those_of_values():
    from radgen.features.statistics import centre_and_spread, intensity_statistics

    rng = np.random.default_rng(16)
    values = rng.integers(-1000, 1500, (9, 10, 11)).astype(np.float64)
    mask = Mask(rng.random(values.shape) < 0.7, Geometry.from_spacing(values.shape))
    found, spread = [], []
    for counted in (True, False):
        view = View(Region(mask, mask), values, ExtractionSettings())
        if not counted:
            view.once("whole counts", lambda: None)
        assert (view.whole_counts is not None) == counted
        found.append(list(intensity_statistics(view)[""].values()))
        spread.append(centre_and_spread(view))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    np.testing.assert_allclose(spread[0], spread[1], rtol=1e-12)
