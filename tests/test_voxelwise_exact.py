"""Voxel-wise scans: equal to the scan of a table, whatever is missing; stacks of files."""

from __future__ import annotations

import nibabel
import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas, voxelwise
from radgen.errors import AlignmentError, FormatError, GeometryError, InputError
from radgen.io import read_stack, write_map
from radgen.types import (
    ArrayDosages,
    GenotypeMatrix,
    Geometry,
    ImageStack,
    SurfaceSpace,
    VoxelSpace,
)


def cohort(seed=1, *, calls_missing=0.0, voxels_missing=0.0):
    n, m, shape = 80, 30, (4, 5, 6)
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.1, 0.5, m)[:, None], (m, n)).astype(np.float32)
    calls[rng.random(calls.shape) < calls_missing] = np.nan
    names = tuple(f"s{i}" for i in range(n))
    variants = pl.DataFrame(
        {"chrom": ["1"] * m, "pos": list(range(1, m + 1)), "id": [f"v{i}" for i in range(m)]}
        | {"ref": ["A"] * m, "alt": ["C"] * m}
    )
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    index = np.sort(rng.choice(np.prod(shape), 90, replace=False))
    x = rng.normal(size=(n, 2))
    values = 100 + rng.normal(size=(n, 90)) + x @ rng.normal(size=(2, 90))
    values[:, 7] += 1.6 * np.nan_to_num(calls[4])
    values = values.astype(np.float32)
    values[rng.random(values.shape) < voxels_missing] = np.nan
    stack = ImageStack(names, values, VoxelSpace(Geometry.from_spacing(shape, (2, 3, 4)), index))
    cov = pl.DataFrame({"sample": names, "x0": x[:, 0], "x1": x[:, 1]})
    return genotypes, stack, cov


def whole(genotypes, stack, cov):
    names = [f"{i}" for i in range(stack.n_points)]
    table = pl.DataFrame(stack.values.astype(float), schema=names).insert_column(
        0, pl.Series("sample", stack.samples)
    )
    frame = gwas(genotypes, table.with_columns(pl.exclude("sample").fill_nan(None)), cov).frame
    return frame.with_columns(pl.col("phenotype").cast(pl.Int64).alias("column"))


@pytest.mark.parametrize(("calls", "voxels"), [(0, 0), (0.03, 0), (0, 0.002), (0.03, 0.002)])
def test_every_pair_equals_the_scan_of_a_table(calls, voxels):
    genotypes, stack, cov = cohort(calls_missing=calls, voxels_missing=voxels)
    want = whole(genotypes, stack, cov)
    found = voxelwise(stack, genotypes, cov, threshold=0.01, n_top=3, block_size=7, jobs=2)
    kept = want.filter(pl.col("p") <= 0.01)
    column = pl.DataFrame({"point": stack.space.index, "column": np.arange(90)})
    ours = found.frame.join(column, on="point").sort("pos", "column")
    kept = kept.sort("pos", "column")
    assert ours.height == kept.height
    assert ours.select("id", "column", "n").equals(kept.select("id", "column", "n"))
    for name in ("beta", "se", "t", "log10p", "alt_freq"):
        np.testing.assert_allclose(ours[name], kept[name], rtol=1e-9, err_msg=name)
    best = want.sort("p").group_by("column", maintain_order=True).first().sort("column")
    # Where calls are missing, near ties of the strongest predictor may fall either way.
    same = found.points["id"].to_numpy() == best["id"].to_numpy()
    assert same.all() if not calls else same.mean() > 0.9
    assert (found.points["log10p"] <= 0.8 * best["log10p"]).all()
    np.testing.assert_allclose(
        found.points["t"].to_numpy()[same], best["t"].to_numpy()[same], rtol=1e-9
    )
    top = want.sort("p").group_by("pos", maintain_order=True).head(3).sort("pos", "p")
    ours = found.peaks.join(column, on="point", maintain_order="left")
    assert ours["column"].to_list() == top["column"].to_list()
    assert found.peaks["rank"].to_list() == [1, 2, 3] * 30
    n_below = want.filter(pl.col("p") <= 0.01).group_by("pos").len().sort("pos")
    some = found.predictors.filter(pl.col("n_below") > 0)
    assert some["n_below"].to_list() == n_below["len"].to_list()
    assert found.params["n_tests"] == 30 * 90
    median = np.median(want["t"].to_numpy() ** 2) / 0.4549
    assert found.params["lambda_gc"] == pytest.approx(median, rel=0.06)
    lead = found.frame.sort("log10p").row(0, named=True)
    assert (lead["id"], lead["point"]) == ("v4", stack.space.index[7])
    x, y, z = stack.space.positions_mm[7] * (-1, -1, 1)
    assert (lead["x"], lead["y"], lead["z"]) == pytest.approx((x, y, z))
    assert any("v4" in line for line in found.statements())


def test_tables_of_predictors_and_samples_are_matched_by_id():
    genotypes, stack, cov = cohort(seed=2)
    rng = np.random.default_rng(0)
    genes = rng.normal(5e4, 2e3, size=(80, 4))
    genes[3, 1] = np.nan
    table = pl.DataFrame({"sample": genotypes.samples} | {f"g{j}": genes[:, j] for j in range(4)})
    found = voxelwise(stack, table[::-1].head(70), cov, threshold=0.05)
    design = np.column_stack([np.ones(70), cov["x0"].to_numpy()[10:], cov["x1"].to_numpy()[10:]])
    for row in found.peaks.iter_rows(named=True):
        column = int(np.flatnonzero(stack.space.index == row["point"])[0])
        y, g = stack.values[10:, column].astype(float), genes[10:, int(row["id"][1:])]
        use = np.isfinite(g)
        full = np.column_stack([design[use], g[use]])
        beta, rss = np.linalg.lstsq(full, y[use])[:2]
        assert row["beta"] == pytest.approx(beta[3], rel=1e-7)
        se = np.sqrt(rss[0] / (use.sum() - 4) * np.linalg.inv(full.T @ full)[3, 3])
        assert row["se"] == pytest.approx(se, rel=1e-7)
    assert found.n_used == 70
    assert found.dropped.height == 10
    with pytest.raises(AlignmentError):
        voxelwise(stack, table.head(3), cov)
    with pytest.raises(InputError, match="threshold"):
        voxelwise(stack, table, cov, threshold=0.5)


def test_flat_points_and_rare_predictors_have_no_test():
    genotypes, stack, cov = cohort(seed=3)
    values = stack.values.copy()
    values[:, 0] = cov["x0"].to_numpy()
    values[:, 1] = 7.0
    calls = genotypes.read(0, 30).copy()
    calls[2] = 1.0
    stack = ImageStack(stack.samples, values, stack.space)
    genotypes = GenotypeMatrix(genotypes.samples, genotypes.variants, ArrayDosages(calls))
    found = voxelwise(stack, genotypes, cov, n_top=2)
    assert found.points["id"].null_count() == 2
    assert found.predictors["t"].null_count() == 1
    assert found.peaks.height == 29 * 2


def save(folder, name, array, affine):
    path = folder / f"{name}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), affine), path)
    return path


def test_stacks_of_files_folders_tables_and_one_file_agree(tmp_path):
    rng = np.random.default_rng(4)
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (90, -126, -72)
    arrays = rng.normal(size=(6, 5, 4, 3))
    arrays[:, 0, 0, 0] = 2.0
    arrays[1, 1, 1, 1] = np.nan
    folder = tmp_path / "images"
    folder.mkdir()
    for i, array in enumerate(arrays):
        save(folder, f"p{i}", array, affine)
    mask = save(tmp_path, "mask", np.ones((5, 4, 3)), affine)
    whole_file = tmp_path / "all.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(np.moveaxis(arrays, 0, 3).astype(np.float32), affine), whole_file
    )
    table = tmp_path / "images.tsv"
    table.write_text("sample\tpath\n" + "".join(f"p{i}\timages/p{i}.nii.gz\n" for i in range(6)))
    one = read_stack(folder, mask=mask)
    assert one.samples == tuple(f"p{i}" for i in range(6))
    assert one.n_points == 58
    assert "same value" in one.notes[1]
    names = [f"p{i}" for i in range(6)]
    for other in (
        read_stack(table, mask=mask),
        read_stack(whole_file, samples=names, mask=mask),
        read_stack(folder),
        read_stack(folder, mask=mask, store=tmp_path / "values.f32"),
    ):
        np.testing.assert_array_equal(other.values, one.values)
        np.testing.assert_array_equal(other.space.index, one.space.index)
    assert isinstance(read_stack(folder, store=tmp_path / "v.f32").values, np.memmap)
    some = read_stack(folder, mask=mask, coverage=0.8)
    assert some.n_points == 59
    # What is written back lies where it came from.
    write_map(one.values[2], one.space, tmp_path / "map.nii.gz")
    back = nibabel.load(tmp_path / "map.nii.gz")
    np.testing.assert_allclose(back.affine, affine)
    inside = np.isfinite(arrays).all(axis=0) & (arrays[0] != 2.0)
    np.testing.assert_allclose(back.get_fdata()[inside], arrays[2][inside], rtol=1e-6)
    at = np.argwhere(np.isclose(back.get_fdata(), one.values[2, 10]))[0]
    mm = (affine @ [*at, 1])[:3]
    np.testing.assert_allclose(one.space.positions_mm[10] * (-1, -1, 1), mm)
    with pytest.raises(InputError, match="name the people"):
        read_stack(whole_file)
    moved = affine.copy()
    moved[0, 3] += 5
    save(folder, "p5", arrays[5], moved)
    with pytest.raises(GeometryError):
        read_stack(folder)
    (folder / "p5.nii.gz").write_bytes(b"no image")
    with pytest.raises(FormatError):
        read_stack(folder)


def octahedron():
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    faces = [(a, b, c) for a in (0, 1) for b in (2, 3) for c in (4, 5)]
    return points, np.array(faces)


def test_surfaces_are_read_scanned_and_written(tmp_path):
    points, faces = octahedron()
    rng = np.random.default_rng(5)
    data = rng.normal(size=(20, 6)).astype(np.float32)
    gene = rng.normal(size=20)
    data[:, 2] += 3 * gene
    arrays = [nibabel.gifti.GiftiDataArray(row) for row in data]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), tmp_path / "thickness.func.gii")
    mesh = nibabel.gifti.GiftiImage(
        darrays=[
            nibabel.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET"),
            nibabel.gifti.GiftiDataArray(faces.astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
        ]
    )
    nibabel.save(mesh, tmp_path / "mesh.surf.gii")
    nibabel.freesurfer.write_geometry(str(tmp_path / "lh.white"), points, faces)
    names = [f"s{i}" for i in range(20)]
    stack = read_stack(
        tmp_path / "thickness.func.gii", samples=names, surface=tmp_path / "mesh.surf.gii"
    )
    again = read_stack(
        tmp_path / "thickness.func.gii", samples=names, surface=tmp_path / "lh.white"
    )
    np.testing.assert_allclose(stack.space.vertices, again.space.vertices)
    np.testing.assert_allclose(stack.space.extent.sum(), 8 * np.sqrt(3) / 2, rtol=1e-6)
    mgh = tmp_path / "lh.thickness.mgh"
    nibabel.save(nibabel.MGHImage(data.T[:, None, None, :].copy(), np.eye(4)), mgh)
    np.testing.assert_array_equal(read_stack(mgh, samples=names).values, stack.values)
    found = voxelwise(stack, {"sample": names, "gene": gene}, threshold=1e-3)
    assert found.frame["point"].to_list() == [2]
    assert (found.frame["x"][0], found.frame["y"][0]) == (0.0, 1.0)
    write_map(stack.values[0], stack.space, tmp_path / "map.func.gii")
    np.testing.assert_array_equal(nibabel.load(tmp_path / "map.func.gii").darrays[0].data, data[0])
    assert stack.space.neighbours().starts[-1] == 24
    with pytest.raises(InputError, match="mesh"):
        SurfaceSpace(6, np.arange(6)).neighbours()
    with pytest.raises(InputError, match="different meshes"):
        SurfaceSpace(7, np.arange(6), points, faces)


def test_the_order_of_the_images_does_not_matter():
    genotypes, stack, cov = cohort(seed=6)
    rows = list(range(79, -1, -1))
    turned = ImageStack(
        tuple(stack.samples[i] for i in rows), stack.values[rows].copy(), stack.space
    )
    first, second = (voxelwise(item, genotypes, cov) for item in (stack, turned))
    assert first.points.equals(second.points)
