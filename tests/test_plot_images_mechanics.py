"""Pictures of scans: what is drawn, where, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from radgen.errors import GeometryError, InputError
from radgen.image import discretise, to_canonical
from radgen.plot import feature_map, glcm_heatmap, intensity_histogram, montage
from radgen.types import Geometry, ImageVolume, Mask
from report_example import HOSTILE

GRID = Geometry.from_spacing((10, 24, 30), (3.0, 1.0, 1.0))


def scene() -> tuple[ImageVolume, Mask]:
    rng = np.random.default_rng(0)
    array = np.zeros(GRID.shape, bool)
    array[4:7, 8:12, 10:20] = True
    return ImageVolume(rng.normal(size=GRID.shape), GRID, "MR"), Mask(array, GRID, "tumour")


def panels(figure):
    return [ax for ax in figure.axes if ax.images]


def texts(ax) -> set[str]:
    return {text.get_text() for text in ax.texts}


def test_montage_shows_the_largest_slices_with_exact_outlines() -> None:
    image, mask = scene()
    figure = montage(image, {"tumour": mask}, margin_mm=None, title="scan")
    axial, coronal, _ = panels(figure)
    assert axial.get_title() == "axial 5/10"
    assert texts(axial) >= {"R", "L", "A", "P"}
    assert texts(coronal) >= {"R", "L", "S", "I"}
    outline = next(item for item in axial.collections if isinstance(item, LineCollection))
    segments = np.array(outline.get_segments())
    assert len(segments) == 2 * (4 + 10)  # the perimeter of 4 x 10 voxels
    assert segments[..., 0].min() == 10
    assert segments[..., 0].max() == 20
    assert (segments[..., 1].min(), segments[..., 1].max()) == (8, 12)
    figure.savefig(io.BytesIO(), format="svg")


def test_coronal_panels_stand_upright() -> None:
    image, mask = scene()
    figure = montage(image, [mask], planes=["coronal"], margin_mm=None)
    (ax,) = panels(figure)
    picture = ax.images[0].get_array()
    np.testing.assert_array_equal(picture[-1], image.array[0, 8])
    outline = next(item for item in ax.collections if isinstance(item, LineCollection))
    heights = np.array(outline.get_segments())[..., 1]
    assert (heights.min(), heights.max()) == (3 * (10 - 7), 3 * (10 - 4))


def test_letters_follow_the_direction_of_the_grid() -> None:
    affine = np.array(GRID.affine)
    affine[:, 0] *= -1
    image, mask = scene()
    flipped = ImageVolume(image.array, Geometry(affine, GRID.shape))
    (ax,) = panels(montage(flipped, planes=["axial"]))
    places = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert places["L"] < places["R"]
    (ax,) = panels(montage(to_canonical(flipped), planes=["axial"]))
    places = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert places["R"] < places["L"]
    assert mask.n_voxels


def test_many_slices_and_no_mask() -> None:
    image, mask = scene()
    assert len(panels(montage(image, [mask], n_slices=4))) == 12
    assert len(panels(montage(image))) == 3
    flat = image.with_array(np.zeros(GRID.shape))
    montage(flat, [mask]).savefig(io.BytesIO())


def test_feature_map_histogram_and_matrix() -> None:
    image, mask = scene()
    values = np.where(mask.array, image.array, np.nan)
    ax = feature_map(image, values, label="entropy (bits)")
    assert len(ax.images) == 2
    assert ax.images[1].get_array().count() == 40
    levels = discretise(image.array[mask.array], bin_number=8)
    drawn = intensity_histogram(image.array[mask.array], edges=levels.edges)
    assert drawn.patches[0].get_data().values.sum() == mask.n_voxels
    matrix = glcm_heatmap(np.diag([1.0, 0.0, 5.0]))
    assert matrix.images[0].get_array().count() == 2
    for each in (ax, drawn, matrix):
        each.figure.savefig(io.BytesIO())


def test_drawing_on_given_axes_returns_them() -> None:
    from matplotlib.figure import Figure

    given = Figure().subplots()
    assert glcm_heatmap(np.ones((2, 2)), ax=given) is given
    assert intensity_histogram(np.ones(3), ax=given) is given


def test_refusals() -> None:
    image, mask = scene()
    with pytest.raises(InputError, match="Did you mean 'axial'"):
        montage(image, planes=["axal"])  # type: ignore[list-item]
    other = Mask(np.ones((2, 2, 2)), Geometry.from_spacing((2, 2, 2)))
    with pytest.raises(GeometryError):
        montage(image, [other])
    with pytest.raises(InputError, match="no finite value"):
        feature_map(image, np.full(GRID.shape, np.nan))
    with pytest.raises(GeometryError):
        feature_map(image, np.ones((2, 2, 2)))
    for bad in (np.ones((2, 3)), np.zeros((2, 2)), -np.ones((2, 2))):
        with pytest.raises(InputError):
            glcm_heatmap(bad)
    with pytest.raises(InputError):
        intensity_histogram(np.array([np.nan]))
    assert mask.n_voxels


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", [text for text in HOSTILE if "$" in text or "=" in text])
def test_hostile_names_are_drawn_as_typed(name: str) -> None:
    image, mask = scene()
    figures = [
        montage(image, {name: mask}, title=name),
        feature_map(image, image.array, label=name).figure,
        intensity_histogram(image.array, label=name).figure,
        glcm_heatmap(np.eye(3), title=name).figure,
    ]
    for figure in figures:
        figure.savefig(io.BytesIO(), format="svg")
