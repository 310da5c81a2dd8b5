"""Agreement of contours of real scans against exact distances of meshes and other programs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from radgen.image.agreement import contour_agreement
from radgen.types import Geometry, Mask

# Dice, Hausdorff 95 %, Hausdorff, surface Dice at 1 and 3 mm, mean distance. MESH: faces of the
# voxels as triangles, trimesh 5.2.0 closest_point, brute force over every triangle in reach.
# SURFELS: surface-distance 0.1 (DeepMind), whose surface elements lie on the corners of voxels.
MESH = {
    "brain1": (0.472821633, 6.5, 6.798329586, 0.374612084, 0.741863269, 2.089697694),
    "brain2": (0.459530026, 6.5, 6.798329586, 0.375574689, 0.756078252, 2.072530564),
    "breast1": (0.169154229, 4.2, 4.528394772, 0.399389807, 0.873222125, 1.533790683),
    "lung1": (0.443828017, 5.0, 5.207126488, 0.336876713, 0.782452954, 1.871176684),
}
SURFELS = {
    "brain1": (0.472821633, 6.593231615, 6.95366922, 0.580407075, 0.761644963, 1.821914894),
    "brain2": (0.459530026, 6.685163143, 6.95366922, 0.580992021, 0.778410149, 1.808474174),
    "breast1": (0.169154229, 4.404987328, 4.695719689, 0.436835593, 0.898371788, 1.305356999),
    "lung1": (0.443828017, 5.160066059, 5.315314052, 0.475422755, 0.763253922, 1.762202745),
}


def _readers(data, case: str) -> tuple[Mask, Mask]:
    """Return the contour of a real scan and one of a reader who is tighter and beside it."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(data("pyradiomics_cases") / f"{case}_label.nrrd"))
    array = SimpleITK.GetArrayFromImage(image) > 0
    at = np.argwhere(array)
    low, high = np.maximum(at.min(axis=0) - 6, 0), at.max(axis=0) + 7
    array = np.pad(array[tuple(map(slice, low, high))], 3)
    other = np.roll(ndimage.binary_erosion(array, np.ones((1, 3, 3))), (1, 2), axis=(0, 2))
    grid = Geometry.from_spacing(array.shape, image.GetSpacing()[::-1])
    return Mask(array, grid), Mask(other, grid)


@pytest.mark.parametrize("case", MESH)
def test_distances_of_real_contours_are_those_of_their_meshes(data, case):
    first, second = _readers(data, case)
    found = contour_agreement(first, second, tolerance_mm=1.0)
    wide = contour_agreement(first, second, tolerance_mm=3.0)
    ours = (found.dice, found.hausdorff_95_mm, found.hausdorff_mm, found.surface_dice,
            wide.surface_dice, found.mean_distance_mm)  # fmt: skip
    np.testing.assert_allclose(ours, MESH[case], rtol=1e-6)
    # Corners lie up to half a voxel from the surface: near, and no more than that.
    peer = SURFELS[case]
    assert found.dice == pytest.approx(peer[0], abs=1e-9)
    np.testing.assert_allclose(ours[1:3], peer[1:3], rtol=0.05)
    assert wide.surface_dice == pytest.approx(peer[4], abs=0.03)


@pytest.mark.parametrize("case", ["brain1", "breast1"])
def test_dice_is_that_of_simpleitk(data, case):
    import SimpleITK

    first, second = _readers(data, case)
    measure = SimpleITK.LabelOverlapMeasuresImageFilter()
    measure.Execute(*(
        SimpleITK.GetImageFromArray(m.array.astype(np.uint8)) for m in (first, second)
    ))  # fmt: skip
    found = contour_agreement(first, second)
    assert found.dice == pytest.approx(measure.GetDiceCoefficient(), abs=1e-12)
    assert found.jaccard == pytest.approx(measure.GetJaccardCoefficient(), abs=1e-12)


def test_thick_slices_and_far_surfaces_are_measured_to_the_surface():
    """A plane 10 mm from another one, in slices of 5 mm: every distance is 10 mm."""
    array = np.zeros((6, 40, 40), dtype=bool)
    low, high = array.copy(), array.copy()
    low[:, :10], high[:, :20] = True, True
    grid = Geometry.from_spacing(array.shape, (5.0, 1.0, 1.0))
    found = contour_agreement(Mask(low, grid), Mask(high, grid), tolerance_mm=0.0)
    assert found.hausdorff_mm == pytest.approx(10.0)
    same = contour_agreement(Mask(low, grid), Mask(low, grid), tolerance_mm=0.0)
    assert (same.surface_dice, same.mean_distance_mm) == (1.0, 0.0)
