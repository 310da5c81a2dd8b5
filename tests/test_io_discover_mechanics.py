"""Folders as people keep them are recognised."""

from __future__ import annotations

from pathlib import Path

from radgen.io import discover


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_layouts(tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    for sample in ("sub-01", "sub-02"):
        folder = bids / sample / "ses-1" / "anat"
        folder.mkdir(parents=True)
        put(folder / f"{sample}_ses-1_T1w.nii.gz", "x")
        masks = bids / "derivatives" / "seg" / sample / "ses-1"
        masks.mkdir(parents=True)
        put(masks / f"{sample}_ses-1_dseg.nii.gz", "x")
    put(bids / "participants.tsv", "participant_id\tage\nsub-01\t40\n")
    found = discover(bids)
    assert found.kind == "bids"
    assert [(s.sample, s.name, s.modality, s.mask.name) for s in found.scans] == [
        (f"sub-0{i}", "ses-1_T1w", "MR", f"sub-0{i}_ses-1_dseg.nii.gz") for i in (1, 2)
    ]
    assert [(t.role, t.id_column) for t in found.tables] == [("clinical", "participant_id")]
    nested = tmp_path / "nested"
    for sample in ("P1", "P2"):
        (nested / sample).mkdir(parents=True)
        put(nested / sample / "ct.nii.gz", "x")
        put(nested / sample / "tumour_mask.nii.gz", "x")
    found = discover(nested)
    assert found.kind == "folder_per_sample"
    assert [(s.sample, s.modality, s.mask is not None) for s in found.scans] == [
        ("P1", "CT", True),
        ("P2", "CT", True),
    ]
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("a_image.nrrd", "a_label.nrrd", "b_image.nrrd"):
        put(flat / name, "x")
    found = discover(flat)
    assert [(s.sample, s.mask and s.mask.name) for s in found.scans] == [
        ("a", "a_label.nrrd"),
        ("b", None),
    ]
    assert found.notes == ("b: b_image.nrrd has no mask.",)
