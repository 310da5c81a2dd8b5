"""The frozen core types check what enters and never change afterwards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from radgen.errors import AlignmentError, FormatError, GeometryError, InputError
from radgen.types import (
    ArrayDosages,
    Covariates,
    GenotypeMatrix,
    Geometry,
    ImageVolume,
    Kinship,
    Mask,
    OmicsTable,
    Outcome,
    PhenotypeTable,
    Result,
    align,
    to_polars,
)

GRID = Geometry.from_spacing((2, 3, 4), (3.0, 1.0, 1.0))


def _oblique() -> Geometry:
    angle = np.deg2rad(30)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.5, 0.7, 3.0])
    affine[:3, 3] = (10, -20, 30)
    return Geometry(affine, (5, 6, 7))


def test_geometry_maps_indices_to_the_patient_and_back() -> None:
    grid = _oblique()
    assert grid.spacing_mm == pytest.approx((3.0, 0.7, 0.5))
    assert grid.voxel_volume_mm3 == pytest.approx(1.05)
    index = np.array([[0, 0, 0], [1, 2, 3], [4, 5, 6]], dtype=float)
    assert grid.to_index(grid.to_world(index)) == pytest.approx(index)
    assert grid.to_world(index[:1])[0] == pytest.approx((10, -20, 30))


def test_geometry_differences_are_shown_with_both_grids() -> None:
    grid = _oblique()
    moved = grid.affine.copy()
    moved[0, 3] += 0.5
    other = Geometry(moved, grid.shape)
    assert grid.same_as(Geometry(grid.affine + 1e-9 * np.eye(4, k=1), grid.shape)) is True
    with pytest.raises(GeometryError, match="grids differ") as caught:
        grid.require_same(other, what="Mask")
    assert caught.value.left is grid
    assert caught.value.right is other
    with pytest.raises(GeometryError, match="singular"):
        Geometry(np.diag([1.0, 0.0, 1.0, 1.0]), (2, 2, 2))


def test_images_are_copied_sealed_and_floats() -> None:
    raw = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = ImageVolume(raw, GRID, modality="CT")
    raw[0, 0, 0] = 999
    assert image.array[0, 0, 0] == 0
    assert image.array.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        image.array[0, 0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.modality = "MR"
    big = np.full((2, 3, 4), 2**24 + 1, dtype=np.int32)
    assert ImageVolume(big, GRID).array[0, 0, 0] == 2**24 + 1
    with pytest.raises(GeometryError):
        ImageVolume(np.zeros((2, 3, 5)), GRID)
    with pytest.raises(InputError, match="one time a frame"):
        ImageVolume(np.zeros((5, 2, 3, 4)), GRID)


def test_masks_refuse_labels_and_wrong_grids() -> None:
    with pytest.raises(InputError, match="Name the label"):
        Mask(np.full((2, 3, 4), 3), GRID)
    mask = Mask(np.ones((2, 3, 4), dtype=np.uint8), GRID, "tumour")
    assert mask.n_voxels == 24
    elsewhere = ImageVolume(np.zeros((2, 3, 4)), Geometry.from_spacing((2, 3, 4)))
    with pytest.raises(GeometryError, match="'tumour' does not lie"):
        mask.require_on(elsewhere)


def test_align_matches_by_id_never_by_position() -> None:
    found = align({"images": ["c", "a", "b", "x"], "genes": ["b", "c", "a"], "y": ["a", "b", "c"]})
    assert found.samples == ("c", "a", "b")
    assert found.rows["genes"].tolist() == [1, 2, 0]
    assert found.rows["y"].tolist() == [2, 0, 1]
    assert found.dropped.rows() == [("x", "images", "genes, y")]
    assert "3 of 4" in found.describe()


def test_align_suggests_no_id_rule_where_the_ids_are_the_same() -> None:
    with pytest.raises(AlignmentError) as caught:
        align({"images": ["a", "b", "c"], "genes": ["a", "b", "c"]}, need=10)
    assert "differ only in" not in str(caught.value)


def test_align_refuses_repeats_and_explains_misspelt_ids() -> None:
    with pytest.raises(AlignmentError, match="stand in more than one row: a") as caught:
        align({"images": ["a", "a", "b"], "genes": ["a", "b"]})
    assert caught.value.repeated == ("a",)
    with pytest.raises(AlignmentError, match="upper and lower case"):
        align({"images": ["P1", "P2", "P3"], "genes": ["p1", "p2", "p3"]})
    with pytest.raises(AlignmentError, match="first 12 characters"):
        align(
            {"a": ["TCGA-06-0125-01A", "TCGA-06-0126-01A"], "b": ["TCGA-06-0125", "TCGA-06-0126"]}
        )


@pytest.mark.parametrize("kind", ["polars", "pandas", "arrow", "lazy", "dict"])
def test_any_frame_enters(kind: str) -> None:
    columns = {"sample": ["a", "b"], "x": [1.0, None], "n": [1, 2]}
    frame = {
        "polars": lambda: pl.DataFrame(columns),
        "pandas": lambda: pd.DataFrame(columns),
        "arrow": lambda: pa.table(columns),
        "lazy": lambda: pl.LazyFrame(columns),
        "dict": lambda: columns,
    }[kind]()
    table = PhenotypeTable.from_frame(frame)
    assert table.samples == ("a", "b")
    assert table.names == ("x", "n")
    assert np.array_equal(table.values, [[1, 1], [np.nan, 2]], equal_nan=True)


def test_a_pandas_index_is_the_sample_and_text_keeps_its_gaps() -> None:
    frame = pd.DataFrame({"x": ["1", None]}, index=pd.Index(["a", "b"], name="id"))
    assert to_polars(frame).to_dict(as_series=False) == {"id": ["a", "b"], "x": ["1", None]}
    with pytest.raises(InputError, match="a list; needed"):
        to_polars([1, 2])


def test_phenotypes_refuse_what_would_be_ambiguous() -> None:
    with pytest.raises(AlignmentError, match="more than one row"):
        PhenotypeTable.from_frame({"sample": ["a", "a"], "x": [1.0, 2.0]})
    with pytest.raises(InputError, match="not numeric: x"):
        PhenotypeTable.from_frame({"sample": ["a", "b"], "x": ["1", "#NAME?"]})
    with pytest.raises(InputError, match="no id in row 2"):
        PhenotypeTable.from_frame({"sample": ["a", None], "x": [1.0, 2.0]})


def test_taking_rows_and_columns_keeps_the_status() -> None:
    table = PhenotypeTable.from_frame(
        {"sample": ["a", "b", "c"], "x": [1.0, 2, 3], "y": [4.0, 5, 6]}
    )
    status = pl.DataFrame(
        {
            "sample": ["b", "c"],
            "phenotype": ["y", "x"],
            "status": ["undefined"] * 2,
            "reason": ["r", "s"],
        }
    )
    table = PhenotypeTable(table.samples, table.values, table.specs, status)
    part = table.take(rows=[2, 1], columns=np.array([False, True]))
    assert part.samples == ("c", "b")
    assert part.values[:, 0].tolist() == [6, 5]
    assert part.status["sample"].to_list() == ["b"]
    assert part.to_pandas().loc["b", "y"] == 5


def test_genotypes_read_only_what_is_asked() -> None:
    dosage = np.arange(12, dtype=np.float32).reshape(4, 3) % 3
    variants = pl.DataFrame(
        {
            "chrom": ["1"] * 4,
            "pos": [1, 2, 3, 4],
            "id": list("wxyz"),
            "ref": ["A"] * 4,
            "alt": ["G"] * 4,
        }
    )
    full = GenotypeMatrix(("a", "b", "c"), variants, ArrayDosages(dosage))
    part = full.take_samples([2, 0]).take_variants([3, 1])
    assert part.samples == ("c", "a")
    assert part.read(0, 2).tolist() == dosage[[3, 1]][:, [2, 0]].tolist()
    assert part.take_variants([1]).variants["id"].to_list() == ["x"]
    blocks = list(full.blocks(3))
    assert [start for start, _ in blocks] == [0, 3]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), dosage)


def test_outcomes_are_explicit() -> None:
    survival = Outcome("os", "censored", ("a", "b"), [10.0, np.nan], [True, False], unit="days")
    assert survival.known.tolist() == [True, False]
    with pytest.raises(InputError, match="one event flag"):
        Outcome("os", "censored", ("a",), [1.0])
    with pytest.raises(InputError, match="negative times for b"):
        Outcome("os", "censored", ("a", "b"), [1.0, -2.0], [True, True])
    with pytest.raises(InputError, match="is binary"):
        Outcome("idh", "binary", ("a", "b"), [0.0, 2.0])
    with pytest.raises(InputError, match="named are"):
        Covariates(("a",), ("age", "sex"), [[1.0]])
    with pytest.raises(InputError, match="symmetric"):
        Kinship(("a", "b"), [[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(InputError, match="same name: g"):
        OmicsTable(("a",), ("g", "g"), [[1.0, 2.0]], "expression", "log2")
    with pytest.raises(InputError, match="Did you mean 'mutation'"):
        OmicsTable(("a",), ("g",), [[1.0]], "mutations", "binary")


def test_results_are_stored_as_tables_and_plain_values() -> None:
    result = Result(pl.DataFrame({"p": [0.5]}), {"a": (1, 2)}, 10, warnings=("small",))
    tables, plain = result.encode()
    again = Result.decode(tables, plain)
    assert again.table.equals(result.table)
    assert again.warnings == ("small",)
    assert again.params == {"a": [1, 2]}
    with pytest.raises(FormatError, match="this code reads"):
        Result.decode(tables, plain | {"encoding_version": 99})
    with pytest.raises(InputError, match="has no plot"):
        result.plot("volcano")
