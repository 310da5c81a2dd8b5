"""Ways to break a study, and what must happen then.

Each mutation changes a copy of the small study and says what is expected:

- "refused": a `RadgenError` that names a file or key and what to do;
- "status": one scan fails with its reason, everything measured in the others is unchanged;
- "same": a harmless change, the result is that of the undisturbed study.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl

from radgen.errors import RadgenError
from radgen.study import Study, StudyRun

Mutation = tuple[str, str, Callable[[Path, random.Random], None]]
"""Name, expectation, and the change to a folder."""


def _edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, f"the mutation of {path.name} changed nothing"
    path.write_text(after, encoding="utf-8")


def _replace(name: str, old: str, new: str) -> Callable[[Path, random.Random], None]:
    return lambda folder, _rng: _edit(folder / name, lambda text: text.replace(old, new, 1))


def _table(name: str, change: Callable[[pl.DataFrame, random.Random], pl.DataFrame]):
    separator = "\t" if name.endswith((".tsv", ".maf")) else ","

    def apply(folder: Path, rng: random.Random) -> None:
        frame = pl.read_csv(folder / name, separator=separator, infer_schema=False)
        change(frame, rng).write_csv(folder / name, separator=separator)

    return apply


def _cell(name: str, column: str, value: str | None):
    def change(frame: pl.DataFrame, rng: random.Random) -> pl.DataFrame:
        cells = frame[column].to_list()
        cells[rng.randrange(len(cells))] = value
        return frame.with_columns(pl.Series(column, cells, dtype=pl.String))

    return _table(name, change)


def _repeat_row(frame: pl.DataFrame, rng: random.Random) -> pl.DataFrame:
    row = rng.randrange(frame.height)
    return pl.concat([frame, frame[row : row + 1]])


def _shuffle(frame: pl.DataFrame, rng: random.Random) -> pl.DataFrame:
    order = list(range(frame.height))
    rng.shuffle(order)
    return frame[order]


def _swap(one: str, two: str):
    def change(frame: pl.DataFrame, _rng: random.Random) -> pl.DataFrame:
        return frame.rename({one: two, two: one})

    return change


def _rename(column: str):
    def change(frame: pl.DataFrame, _rng: random.Random) -> pl.DataFrame:
        return frame.rename({column: column + "_x"})

    return change


def _other_ids(column: str):
    def change(frame: pl.DataFrame, _rng: random.Random) -> pl.DataFrame:
        return frame.with_columns(pl.Series(column, [f"Q{i}" for i in range(frame.height)]))

    return change


def _spaced_ids(column: str):
    def change(frame: pl.DataFrame, _rng: random.Random) -> pl.DataFrame:
        return frame.with_columns((pl.lit(" ") + pl.col(column) + pl.lit("  ")).alias(column))

    return change


def _cut_line(name: str):
    def apply(folder: Path, rng: random.Random) -> None:
        lines = (folder / name).read_text().splitlines()
        place = rng.randrange(1, len(lines))
        mark = "\t" if "\t" in lines[place] else ","
        lines[place] = lines[place].rsplit(mark, 1)[0]
        (folder / name).write_text("\n".join(lines) + "\n")

    return apply


def _bytes(name: str, data: bytes):
    return lambda folder, _rng: (folder / name).write_bytes(data)


def _pick(folder: Path, kind: str, rng: random.Random) -> Path:
    return rng.choice(sorted((folder / kind).iterdir()))


def _broken_file(kind: str, change: Callable[[bytes, random.Random], bytes]):
    def apply(folder: Path, rng: random.Random) -> None:
        path = _pick(folder, kind, rng)
        path.write_bytes(change(path.read_bytes(), rng))

    return apply


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data) * 9 // 10)]


def _noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(data) // 2)


def _changed_mask(change: Callable[[np.ndarray], np.ndarray]):
    def apply(folder: Path, rng: random.Random) -> None:
        path = _pick(folder, "masks", rng)
        nifti = nib.load(path)
        array = change(np.asarray(nifti.dataobj))
        nib.save(nib.Nifti1Image(array, nifti.affine), path)

    return apply


def _other_grid(folder: Path, rng: random.Random) -> None:
    table = pl.read_csv(folder / "scans.csv")
    one = rng.choice(table["scanner"].unique(maintain_order=True).to_list())
    mine = table.filter(pl.col("scanner") == one)["mask"].to_list()
    theirs = table.filter(pl.col("scanner") != one)["mask"].to_list()
    (folder / rng.choice(mine)).write_bytes((folder / rng.choice(theirs)).read_bytes())


def _four_axes(folder: Path, rng: random.Random) -> None:
    path = _pick(folder, "images", rng)
    nifti = nib.load(path)
    array = np.repeat(np.asarray(nifti.dataobj)[..., None], 3, axis=3)
    nib.save(nib.Nifti1Image(array, nifti.affine), path)


def _swapped_files(folder: Path, rng: random.Random) -> None:
    """Give one row its mask as image and its image as mask."""
    table = pl.read_csv(folder / "scans.csv", infer_schema=False)
    row = rng.randrange(table.height)
    images, masks = table["image"].to_list(), table["mask"].to_list()
    images[row], masks[row] = masks[row], images[row]
    table.with_columns(pl.Series("image", images), pl.Series("mask", masks)).write_csv(
        folder / "scans.csv"
    )


def _typo(folder: Path, rng: random.Random) -> None:
    """Drop, double or exchange a letter in a key of the study file."""
    path = folder / "study.toml"
    lines = path.read_text().splitlines()
    keys = [
        place
        for place, line in enumerate(lines)
        if re.match(r"^[A-Za-z_]{3,} = ", line) and not line.startswith("regions")
    ]
    place = rng.choice(keys)
    key, rest = lines[place].split(" = ", 1)
    letter = rng.randrange(len(key) - 1)
    ways = [
        key[:letter] + key[letter + 1 :],
        key[:letter] + key[letter] + key[letter:],
        key[:letter] + key[letter + 1] + key[letter] + key[letter + 2 :],
    ]
    changed = rng.choice([way for way in ways if way != key])
    lines[place] = f"{changed} = {rest}"
    path.write_text("\n".join(lines) + "\n")


def _wrong_type(folder: Path, rng: random.Random) -> None:
    """Put a value of a wrong type behind a key of the study file."""
    path = folder / "study.toml"
    lines = path.read_text().splitlines()
    keys = [place for place, line in enumerate(lines) if re.match(r"^[A-Za-z_]+ = ", line)]
    place = rng.choice(keys)
    key = lines[place].split(" = ", 1)[0]
    value = rng.choice(["{ a = { b = 1 } }", "[[1, 2], [3]]", "1979-05-27"])
    lines[place] = f"{key} = {value}"
    path.write_text("\n".join(lines) + "\n")


def _broken_toml(folder: Path, rng: random.Random) -> None:
    path = folder / "study.toml"
    text = path.read_text()
    marks = [place for place, letter in enumerate(text) if letter in '"[]{}=']
    place = rng.choice(marks)
    path.write_text(text[:place] + text[place + 1 :])


def _missing_section(folder: Path, rng: random.Random) -> None:
    path = folder / "study.toml"
    parts = re.split(r"\n(?=\[)", path.read_text())
    needed = [p for p in parts if p.startswith(("[study]", "[images]", "[omics", "[clinical.surv"))]
    parts.remove(rng.choice(needed))
    path.write_text("\n".join(parts))


def _extra_section(folder: Path, rng: random.Random) -> None:
    name = rng.choice(["imags", "feature", "harmonize", "predictions", "omic.rna", "associates"])
    _edit(folder / "study.toml", lambda text: f"{text}\n[{name}]\nx = 1\n")


REFUSED: list[Mutation] = [
    ("a typo in a key", "refused", _typo),
    ("a value of a wrong type", "refused", _wrong_type),
    ("a mark of TOML is gone", "refused", _broken_toml),
    ("a section is gone", "refused", _missing_section),
    ("an unknown section", "refused", _extra_section),
    ("an unknown layer", "refused", _replace("study.toml", 'layer = "mutations"', 'layer = "rna"')),
    ("an unknown outcome", "refused", _replace("study.toml", '"survival"\nph', '"death"\nph')),
    ("an unknown phenotype", "refused", _replace("study.toml", '"RNU0"', '"RNU9"')),
    ("an unknown batch", "refused", _replace("study.toml", '"scanner"\n\n[[', '"vendor"\n\n[[')),
    ("a table that is not there", "refused", _replace("study.toml", "clinical.csv", "clinic.csv")),
    ("a variable that is not set", "refused", _replace("study.toml", "scans.csv", "${NO_SUCH}")),
    ("a label that is text", "refused", _replace("study.toml", "tumour = 1", 'tumour = "one"')),
    ("a negative voxel size", "refused", _replace("study.toml", "[4, 3, 3]", "[4, -3, 3]")),
    ("two analyses of one name", "refused", _replace("study.toml", '"Hazards"', '"Mutations"')),
    ("unknown family", "refused", _replace("study.toml", '"morphology"', '"morphologie"')),
    ("a repeated scan row", "refused", _table("scans.csv", _repeat_row)),
    ("a scan without an id", "refused", _cell("scans.csv", "patient_id", None)),
    ("no mask column", "refused", _table("scans.csv", _rename("mask"))),
    ("image and mask columns swapped", "refused", _table("scans.csv", _swap("image", "mask"))),
    ("id and image columns swapped", "refused", _table("scans.csv", _swap("image", "patient_id"))),
    ("a short row in the scan table", "refused", _cut_line("scans.csv")),
    ("an empty scan table", "refused", _bytes("scans.csv", b"")),
    ("a binary scan table", "refused", _bytes("scans.csv", bytes(range(256)) * 8)),
    ("a repeated patient", "refused", _table("clinical.csv", _repeat_row)),
    ("a patient without an id", "refused", _cell("clinical.csv", "patient_id", "")),
    ("ids of another study", "refused", _table("clinical.csv", _other_ids("patient_id"))),
    ("an age that is text", "refused", _cell("clinical.csv", "age", "old")),
    ("age and sex swapped", "refused", _table("clinical.csv", _swap("age", "sex"))),
    ("time and event swapped", "refused", _table("clinical.csv", _swap("survival_days", "died"))),
    ("a negative time", "refused", _cell("clinical.csv", "survival_days", "-4")),
    ("an event of a new kind", "refused", _cell("clinical.csv", "died", "perhaps")),
    ("a response of a new kind", "refused", _cell("clinical.csv", "response", "partly")),
    ("a short row in the clinical table", "refused", _cut_line("clinical.csv")),
    ("no event column", "refused", _table("clinical.csv", _rename("died"))),
    ("a mutation list without genes", "refused", _table("mutations.maf", _rename("Hugo_Symbol"))),
    ("a mutated sample that was not sequenced", "refused",
     _cell("mutations.maf", "Tumor_Sample_Barcode", "P9999")),
    ("ids of another mutation list", "refused",
     _table("mutations.maf", _other_ids("Tumor_Sample_Barcode"))),
    ("an empty list of sequenced samples", "refused", _bytes("sequenced.txt", b"\n")),
    ("a repeated sequenced sample", "refused",
     lambda folder, _rng: _edit(folder / "sequenced.txt", lambda t: t + t.split("\n")[0] + "\n")),
    ("a binary mutation list", "refused", _bytes("mutations.maf", bytes(range(256)))),
]  # fmt: skip

STATUS: list[Mutation] = [
    ("a truncated image", "status", _broken_file("images", _truncate)),
    ("a truncated mask", "status", _broken_file("masks", _truncate)),
    ("an empty image", "status", _broken_file("images", lambda *_: b"")),
    ("an empty mask file", "status", _broken_file("masks", lambda *_: b"")),
    ("noise for an image", "status", _broken_file("images", _noise)),
    ("noise for a mask", "status", _broken_file("masks", _noise)),
    ("text for an image", "status", _broken_file("images", lambda *_: b"no scan\n" * 9)),
    ("an image that is gone", "status", lambda folder, rng: _pick(folder, "images", rng).unlink()),
    ("a mask that is gone", "status", lambda folder, rng: _pick(folder, "masks", rng).unlink()),
    ("a mask of zeros", "status", _changed_mask(np.zeros_like)),
    ("a mask of another label", "status", _changed_mask(lambda a: (a * 2).astype(np.uint8))),
    ("a mask of fractions", "status", _changed_mask(lambda a: a.astype(np.float32) * 0.4)),
    ("a mask on another grid", "status", _other_grid),
    ("a mask cut by a slice", "status", _changed_mask(lambda a: a[:, :, 1:])),
    ("an image of four axes", "status", _four_axes),
    ("image and mask of a row swapped", "status", _swapped_files),
    ("a wrong image name", "status", _cell("scans.csv", "image", "images/nobody.nii.gz")),
    ("an empty mask cell", "status", _cell("scans.csv", "mask", None)),
]

SAME: list[Mutation] = [
    ("shuffled scans", "same", _table("scans.csv", _shuffle)),
    ("shuffled patients", "same", _table("clinical.csv", _shuffle)),
    ("shuffled mutations", "same", _table("mutations.maf", _shuffle)),
    ("a mutation listed twice", "same", _table("mutations.maf", _repeat_row)),
    ("spaces around ids", "same", _table("clinical.csv", _spaced_ids("patient_id"))),
    ("Windows line ends", "same",
     lambda folder, _rng: (folder / "clinical.csv").write_bytes(
         (folder / "clinical.csv").read_bytes().replace(b"\n", b"\r\n"))),
    ("a byte-order mark", "same",
     lambda folder, _rng: (folder / "clinical.csv").write_bytes(
         b"\xef\xbb\xbf" + (folder / "clinical.csv").read_bytes())),
]  # fmt: skip

ALL = [*REFUSED, *STATUS, *SAME]


def judge(expected: str, study: Path, out: Path, undisturbed: StudyRun) -> str:
    """Run a mutated study; return "" if what must happen happened, else what happened instead."""
    try:
        run = Study.load(study).run(out)
    except RadgenError as error:
        if expected != "refused":
            return f"refused: {str(error)[:300]}"
        return _poor_message(str(error))
    except Exception as error:  # noqa: BLE001 - this is what the test looks for
        return f"a {type(error).__name__}: {error}"
    if expected == "refused":
        return "it ran to the end"
    return _same_numbers(run, undisturbed, lost=1 if expected == "status" else 0)


def _poor_message(text: str) -> str:
    names_place = re.search(r"\.(toml|csv|maf|txt)|images|clinical|omics|scan", text)
    if not names_place or len(text) < 30 or "Traceback" in text:
        return f"a poor message: {text[:300]}"
    return ""


def _same_numbers(run: StudyRun, undisturbed: StudyRun, *, lost: int) -> str:
    if run.n_failed_scans != lost:
        return f"{run.n_failed_scans} scans failed, expected {lost}"
    now = run.phenotypes.to_frame()
    then = undisturbed.phenotypes.to_frame().select(now.columns)
    wanted = then.filter(pl.col("sample").is_in(now["sample"].to_list())).sort("sample")
    if then.height - now.height != lost or not now.sort("sample").equals(wanted):
        return "the phenotypes of other samples changed"
    if lost:
        return ""
    for name, result in undisturbed.results.items():
        other = run.results[name].table
        same = other.select(pl.col(pl.Float64)) - result.table.select(pl.col(pl.Float64))
        worst = same.select(pl.all().fill_nan(0.0).abs().max()).max_horizontal().item()
        if other.height != result.table.height or not (worst or 0.0) < 1e-9:
            return f"{name} changed by {worst}"
    return ""
