"""Diameters of lesions from masks, against solids whose diameters are known."""

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import pdist
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import InputError
from radgen.image.caliper import plane_axis, slice_diameters
from radgen.phenotype.response import assess_response, measure_lesions
from radgen.types import Geometry, Mask


def solid(semi, angle_deg, spacing, *, shift=(0.0, 0.0, 0.0), size_mm=64.0):
    """Return an ellipsoid of semi-axes (x, y, z), turned about the slice axis."""
    shape = tuple(int(size_mm / step) | 1 for step in spacing)
    grid = Geometry.from_spacing(shape, spacing)
    place = grid.to_world(np.stack(np.indices(shape), -1).reshape(-1, 3).astype(float))
    place -= place.mean(axis=0) + np.array(shift)
    turn = np.deg2rad(angle_deg)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    inside = (((place @ axes) / np.array(semi)) ** 2).sum(axis=1) <= 1
    return Mask(inside.reshape(shape), grid)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 0.7, 0.7), (3, 1, 0.5), (2.5, 0.5, 0.5)])
def test_diameters_of_turned_ellipsoids_within_a_voxel(spacing):
    voxel = max(spacing[1:])
    for angle in range(0, 180, 36):
        found = slice_diameters(solid((25, 12, 15), angle, spacing, shift=(0.1, 0.2, 0.0)))
        assert abs(found.longest_mm - 50) < voxel
        assert abs(found.short_mm - 24) < voxel
        one, two = (np.subtract(*item) for item in (found.ends, found.short_ends))
        np.testing.assert_allclose(np.linalg.norm(one), found.longest_mm, rtol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(two), found.short_mm, rtol=1e-12)
        assert abs(one @ two) < 1e-6 * found.longest_mm * found.short_mm
        assert abs(one[2]) < 1e-9
        direction = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        assert abs(one[:2] @ direction) > 0.99 * found.longest_mm


def test_diameters_equal_the_definition_on_random_blobs():
    rng = np.random.default_rng(4)
    for _ in range(10):
        spacing = tuple(rng.uniform(0.5, 3, 3))
        array = np.zeros((5, 14, 16), dtype=bool)
        array[1:4, 3:11, 3:12] = rng.random((3, 8, 9)) < 0.8
        array[:, 6, 4:11] = array[:, 4:9, 7] = True  # one piece
        mask = Mask(array, Geometry.from_spacing(array.shape, spacing))
        found = slice_diameters(mask)
        if found.n_parts > 1:
            continue
        longest = 0.0
        for flat in array:  # every pair of points midway between inside and outside
            points = [
                (((y + y2) / 2) * spacing[1], ((x + x2) / 2) * spacing[2])
                for y, x in np.argwhere(flat)
                for y2, x2 in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
                if not flat[y2, x2]
            ]
            longest = max(longest, pdist(points).max()) if points else longest
        assert found.longest_mm == pytest.approx(longest, abs=1e-9)
        assert found.short_mm <= found.longest_mm + 1e-9


def test_a_rectangle_has_the_diagonal_between_its_edges():
    array = np.zeros((3, 20, 20), dtype=bool)
    array[1, 5:15, 6:10] = True
    found = slice_diameters(Mask(array, Geometry.from_spacing(array.shape, (4, 2, 3))))
    # The outline's corners are cut: from (0, ±½) of a corner voxel to the opposite one's.
    candidates = [np.hypot(10 * 2, 3 * 3), np.hypot(9 * 2, 4 * 3)]
    assert found.longest_mm == pytest.approx(max(candidates))
    assert (found.slice_index, found.n_parts, found.slice_mm) == (1, 1, 4)


def test_planes_are_the_patients_and_not_the_arrays():
    mask = solid((25, 12, 6), 0, (1, 1, 1))
    assert slice_diameters(mask, plane="coronal").short_mm == pytest.approx(12, abs=1)
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # stored as sagittal slices
    grid = Geometry(turned, (64, 64, 64))
    assert plane_axis(grid, "axial") == 1
    assert plane_axis(grid, "sagittal") == 0
    with pytest.raises(InputError, match="Unknown plane"):
        plane_axis(grid, "oblique")  # type: ignore[arg-type]
    other = Mask(np.ascontiguousarray(mask.array.transpose(2, 0, 1)),
                 Geometry(turned, mask.array.transpose(2, 0, 1).shape))  # fmt: skip
    for plane in ("axial", "coronal", "sagittal"):
        a, b = slice_diameters(mask, plane=plane), slice_diameters(other, plane=plane)
        assert a.longest_mm == pytest.approx(b.longest_mm)
        assert a.short_mm == pytest.approx(b.short_mm)


def test_pieces_are_measured_apart_and_added():
    one = solid((10, 10, 6), 0, (2, 1, 1), shift=(-15, 0, 0))
    two = solid((8, 8, 6), 0, (2, 1, 1), shift=(15, 0, 0))
    found = slice_diameters(Mask(one.array | two.array, one.geometry))
    alone = [slice_diameters(item).longest_mm for item in (one, two)]
    assert found.n_parts == 2
    assert found.longest_mm == pytest.approx(sum(alone))
    with pytest.raises(InputError, match="empty"):
        slice_diameters(Mask(np.zeros((2, 3, 4), bool), Geometry.from_spacing((2, 3, 4))))


@pytest.fixture
def visits(tmp_path):
    """Write masks of four visits: 40 → 24 → gone; a node 20 → 12 → 8; a lesion that is new."""
    import SimpleITK as sitk

    plans = [
        {1: ((20, 10, 8), (-12, -12, 0)), 2: ((14, 10, 8), (14, 14, 0)),
         3: ((4, 3, 4), (0, 25, 0))},
        {1: ((12, 8, 8), (-12, -12, 0)), 2: ((9, 6, 8), (14, 14, 0)), 3: ((4, 3, 4), (0, 25, 0))},
        {2: ((6, 4, 6), (14, 14, 0)), 3: ((4, 3, 4), (0, 25, 0))},
        {2: ((6, 4, 6), (14, 14, 0)), 7: ((6, 6, 6), (20, -20, 0))},
    ]  # fmt: skip
    rows = []
    for k, plan in enumerate(plans):
        array = None
        for label, (semi, shift) in plan.items():
            part = solid(semi, 20, (2, 1, 1), shift=shift)
            array = np.zeros(part.array.shape, np.uint8) if array is None else array
            array[part.array] = label
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 2.0))
        sitk.WriteImage(image, str(tmp_path / f"v{k}.nii.gz"))
        rows.append(f"a,{k + 1},{42 * k},v{k}.nii.gz")
    (tmp_path / "scans.csv").write_text("patient,visit,day,mask\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_masks_of_four_visits_give_the_response_that_the_diameters_have(visits):
    (visits / "labels.csv").write_text(
        "label,lesion,role,node\n1,liver,target,no\n2,axilla,target,yes\n3,lung,,no\n7,bone,,\n"
    )
    done = CliRunner().invoke(app, [
        "response", "--masks", str(visits / "scans.csv"), "--labels", str(visits / "labels.csv"),
        "--out", str(visits / "out"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    lesions = pl.read_csv(visits / "out" / "lesions.csv")
    size = {(r["lesion"], r["visit"]): r["diameter_mm"] for r in lesions.iter_rows(named=True)}
    known = {("liver", 1): 40, ("liver", 2): 24, ("liver", 3): 0, ("axilla", 1): 20,
             ("axilla", 2): 12, ("axilla", 3): 8, ("bone", 4): 12, ("lung", 1): 8}  # fmt: skip
    for key, wanted in known.items():
        assert size[key] == pytest.approx(wanted, abs=1), key
    roles = dict(lesions.select("lesion", "role").iter_rows())
    assert roles == {"liver": "target", "axilla": "target", "lung": "non-target", "bone": "new"}
    table = pl.read_csv(visits / "out" / "visits.csv")
    assert table["overall"].to_list() == ["PR", "PR", "PD"]
    assert table["target"].to_list() == ["PR", "CR", "CR"]  # the node is below 10 mm
    again = CliRunner().invoke(
        app, ["response", str(visits / "out" / "lesions.csv"), "--out", str(visits / "again")]
    )
    assert again.exit_code == 0, again.output
    for name in ("patients.csv", "visits.csv"):
        assert (visits / "again" / name).read_text() == (visits / "out" / name).read_text()


def test_labels_alone_are_lesions_and_the_measurable_ones_targets(visits):
    from radgen.io.lesion_tables import read_lesion_scans

    found = measure_lesions(read_lesion_scans(visits / "scans.csv"), folder=visits)
    roles = dict(found.table.select("lesion", "role").iter_rows())
    assert roles == {"1": "target", "2": "target", "3": "non-target", "7": "new"}
    assert any("No role was given" in note for note in found.notes)
    gone = found.table.filter((pl.col("lesion") == "1") & (pl.col("visit") == 3))
    assert gone["state"].to_list() == ["absent"]
    assert assess_response(found.table).visits["new_lesions"].to_list() == [0, 0, 1]
    labels = pl.DataFrame({"label": ["1", "2"], "lesion": ["x", "y"]})
    with pytest.raises(InputError, match="label '3' of a at visit 1 is no lesion"):
        measure_lesions(read_lesion_scans(visits / "scans.csv"), labels, folder=visits)
    both = pl.DataFrame({"label": ["1", "2", "3", "7"], "lesion": ["x", "x", "z", "w"]})
    with pytest.raises(InputError, match="two labels are lesion 'x'"):
        measure_lesions(read_lesion_scans(visits / "scans.csv"), both, folder=visits)
