"""The rules of [link] in a whole study: several scans, lesions, dates, specimens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import ConfigError
from radgen.study import Study
from radgen.study.cache import Cache, FileDigests
from radgen.study.context import Context
from radgen.study.gather import gather
from radgen.study.imaging import image_phenotypes
from radgen.study.provenance import Recorder

N = 8

STUDY = """
[study]
name = "Linked"

[images]
table = "scans.csv"
id = "patient"
image = "image"
mask = "mask"
modality = "CT"
regions = {{ tumour = 1 }}
date = "day"
lesion = "lesion"
carry = ["scanner"]

[features]
families = ["morphology", "intensity_statistics"]
spatial_autocorrelation = false
enclosing_shapes = false

[clinical]
path = "clinic.csv"
id = "patient"

[clinical.columns]
age = "number"
treatment = "date"

[omics.rna]
path = "rna.csv"
layer = "expression"
scale = "log2"

[omics.rna.specimens]
table = "specimens.csv"
specimen = "specimen"
patient = "patient"
date = "day"
lesion = "lesion"

[link]
{link}

[[associate]]
name = "Genes"
layer = "rna"

[report]
scans = 1
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight patients, each with a small lesion L scanned early and a large lesion R later.

    Specimens: of L, eight days before the late scan; patient 7's lies a year off.
    """
    folder = tmp_path_factory.mktemp("linked")
    rng = np.random.default_rng(1)
    rows = []
    for patient in range(N):
        for lesion, half, day in (("L", 3, "2020-01-01"), ("R", 4, "2020-02-01")):
            image = rng.normal(40, 10, (12, 12, 12)) + 5 * patient
            mask = np.zeros(image.shape, np.uint8)
            size = slice(6 - half, 6 + half - (patient % 2))
            mask[size, size, size] = 1
            for name, array in (("image", image.astype(np.float32)), ("mask", mask)):
                path = folder / f"p{patient}{lesion}_{name}.nii.gz"
                nib.save(nib.Nifti1Image(array, np.eye(4)), path)
            files = [f"p{patient}{lesion}_{name}.nii.gz" for name in ("image", "mask")]
            rows.append((f"p{patient}", lesion, day, *files, "A" if patient % 2 else "B"))
    names = ["patient", "lesion", "day", "image", "mask", "scanner"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(folder / "scans.csv")
    people = [f"p{k}" for k in range(N)]
    days = ["2020-01-24"] * (N - 1) + ["2021-01-24"]
    pl.DataFrame(
        {"specimen": [f"t{k}" for k in range(N)], "patient": people, "day": days,
         "lesion": ["L"] * N}
    ).write_csv(folder / "specimens.csv")  # fmt: skip
    genes = {"gene": ["G0", "G1"]} | {f"t{k}": rng.normal(size=2) for k in range(N)}
    pl.DataFrame(genes).write_csv(folder / "rna.csv")
    treated = ["2020-01-15"] * 2 + ["2020-06-01"] * (N - 2)
    pl.DataFrame(
        {"patient": people, "age": rng.normal(60, 5, N), "treatment": treated}
    ).write_csv(folder / "clinic.csv")  # fmt: skip
    return folder


@dataclass(frozen=True)
class _Linked:
    volumes: dict[str, float]
    lost: pl.DataFrame
    flow: pl.DataFrame
    assayed: tuple[str, ...]


@pytest.fixture(scope="module")
def linked(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], _Linked]:
    """Return what a study knows of its cohort under given rules; scans are measured once."""
    out = tmp_path_factory.mktemp("out")
    cache = Cache(out / "cache")

    def look(link: str) -> _Linked:
        (cohort / "study.toml").write_text(STUDY.format(link=link))
        study = Study.load(cohort / "study.toml")
        found = gather(study.settings, study.path, study.lines)
        assert not found.problems
        context = Context(
            out, cache, FileDigests(out / "files.json"),
            Recorder(out / "provenance.json", {}, workers="serial"), None,
        )  # fmt: skip
        table = image_phenotypes(found, context).table
        place = table.specs["ibsi_code"].to_list().index("RNU0")
        volumes = dict(zip(table.samples, table.values[:, place].tolist(), strict=True))
        losses = found.losses
        return _Linked(volumes, losses.table(), losses.flow(), found.layers["rna"].samples)

    return look


def test_largest_mean_worst_and_single_scans(linked: Callable[[str], _Linked]) -> None:
    small = linked('several_scans = "first"').volumes
    large = linked('several_scans = "last"').volumes
    assert len(small) == N
    largest = linked('several_scans = "largest"')
    assert largest.volumes == large
    assert largest.lost["reason"].to_list() == ["another row of the patient counts (largest)"] * N
    assert largest.flow.row(-1)[:3] == ("one row a patient", N, N)
    for patient, value in linked('several_scans = "mean"').volumes.items():
        assert value == pytest.approx((small[patient] + large[patient]) / 2)
    worst = linked('several_scans = "worst"\nworst = "RNU0"\nworst_is = "lowest"')
    assert worst.volumes == small


def test_nearest_scan_same_lesion_and_days(linked: Callable[[str], _Linked]) -> None:
    # The late scan (lesion R) is 8 days from the specimen, the early one (lesion L) 23.
    nearest = linked('several_scans = "nearest"\nmax_days = 30')
    assert nearest.volumes == linked('several_scans = "last"').volumes
    reasons = dict(nearest.lost.select("sample", "reason").iter_rows())
    assert reasons == {"t7": "specimen and scan lie more than 30 days apart"}
    assert len(nearest.assayed) == N - 1
    # Of scans that are averaged one of the same lesion within the time is enough.
    both = linked('several_scans = "mean"\nsame_lesion = true\nmax_days = 25')
    assert len(both.assayed) == N - 1


def test_nobody_left_is_a_problem_before_the_run(cohort: Path) -> None:
    link = 'several_scans = "last"\nsame_lesion = true'
    (cohort / "study.toml").write_text(STUDY.format(link=link))
    problems = [str(item) for item in Study.problems_of(cohort / "study.toml")]
    assert any("omics.rna: 0 ids" in item for item in problems)


def test_scans_after_treatment_are_left_out(linked: Callable[[str], _Linked]) -> None:
    # Patients 0 and 1 were treated before their late scan: the early one counts.
    found = linked('several_scans = "last"\nbefore = "treatment"')
    first = linked('several_scans = "first"').volumes
    last = linked('several_scans = "last"').volumes
    want = {p: first[p] if p in {"p0", "p1"} else last[p] for p in last}
    assert found.volumes == want
    assert found.lost["reason"].to_list() == ["the scan was taken after treatment"] * 2


def test_a_run_aggregates_too(cohort: Path, tmp_path: Path) -> None:
    (cohort / "study.toml").write_text(STUDY.format(link='several_scans = "largest"'))
    run = Study.load(cohort / "study.toml").run(tmp_path / "out")
    assert run.phenotypes.n_samples == N
    assert "one row a patient" in run.flow["step"].to_list()
    assert run.report.exists()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("", "several scans"),
        ('several_scans = "worst"', "go together"),
        ('several_scans = "neares"', "nearest"),
    ],
)
def test_unclear_rules_are_refused(cohort: Path, tmp_path: Path, link: str, words: str) -> None:
    (cohort / "study.toml").write_text(STUDY.format(link=link))
    with pytest.raises(ConfigError, match=words):
        Study.load(cohort / "study.toml").run(tmp_path / "out")


Change = Callable[[str], str]


@pytest.fixture
def respelt(cohort: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return the cohort with the ids of one table spelt otherwise."""

    def make(table: str = "", change: Change = str, rules: str = "") -> Path:
        for name in ("scans", "specimens", "clinic"):
            frame = pl.read_csv(cohort / f"{name}.csv")
            if name == table:
                new = [change(item) for item in frame["patient"]]
                frame = frame.with_columns(patient=pl.Series(new))
            files = [c for c in ("image", "mask") if c in frame.columns]
            frame = frame.with_columns((pl.lit(f"{cohort}/") + pl.col(c)).alias(c) for c in files)
            frame.write_csv(tmp_path / f"{name}.csv")
        rna = pl.read_csv(cohort / "rna.csv")
        if table == "rna":
            rna = rna.rename({c: change(c) for c in rna.columns[1:]})
        rna.write_csv(tmp_path / "rna.csv")
        text = STUDY.format(link='several_scans = "first"')
        for line in rules.splitlines():
            section, _, rule = line.partition(": ")
            text = text.replace(f"[{section}]\n", f"[{section}]\nid_rule = {rule}\n", 1)
        (tmp_path / "study.toml").write_text(text)
        return tmp_path / "study.toml"

    return make


def _check(path: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", str(path)])
    return done.exit_code, " ".join(done.output.split())


def test_ids_spelt_otherwise_throughout_are_refused_with_the_key_that_mends_it(
    respelt: Callable[..., Path],
) -> None:
    code, text = _check(respelt("specimens", str.upper))
    assert code == 2
    assert "differ only in upper and lower case" in text
    assert "Set omics.rna.specimens.id_rule." in text
    assert _check(respelt("specimens", str.upper, 'omics.rna.specimens: {case = "lower"}'))[0] == 0
    code, text = _check(respelt("clinic", lambda item: f"x_{item}"))
    assert code == 2
    rule = 'clinical: {replace = {"x_" = ""}}'
    assert _check(respelt("clinic", lambda item: f"x_{item}", rule))[0] == 0
    code, text = _check(respelt("clinic", str, 'clinical: {replace = {"" = "x"}}'))
    assert code == 2
    assert "the text to replace is empty" in text
    code, text = _check(respelt("rna", str.upper))
    assert code == 2
    assert "T0 looks like t0, but is spelt otherwise" in text
    assert _check(respelt("specimens", lambda item: f"  {item} "))[0] == 0


def test_a_few_ids_spelt_otherwise_are_told_and_counted(respelt: Callable[..., Path]) -> None:
    def change(item: str) -> str:
        return item.upper() if item in {"p3", "t5"} else item

    path = respelt("specimens", change)
    code, text = _check(path)
    assert code == 0
    assert "p3 (images) and P3 (omics.rna)" in text
    assert "omics.rna.specimens.id_rule" in text
    study = Study.load(path)
    found = gather(study.settings, study.path, study.lines)
    assert found.losses.table().rows() == [
        ("p3", "ids of images found in omics.rna", "its id is spelt otherwise in omics.rna")
    ]
    assert found.losses.flow()["n"].to_list()[-2:] == [N, N - 1]
    code, text = _check(respelt("rna", change))
    assert code == 0
    assert "T5 (rna.csv) and t5 (specimens)" in text
    assert "Note" not in _check(respelt())[1]


def test_a_specimen_without_a_patient_is_named_by_its_row(respelt: Callable[..., Path]) -> None:
    path = respelt()
    frame = pl.read_csv(path.parent / "specimens.csv")
    twice = pl.concat([frame, frame.with_columns(specimen=pl.col("specimen") + "b")])
    blank = pl.when(pl.col("specimen") == "t2b").then(None).otherwise(pl.col("patient"))
    twice.with_columns(patient=blank).write_csv(path.parent / "specimens.csv")
    code, text = _check(path)
    assert code == 2
    assert f"specimens.csv: no patient in data row {N + 3} (column 'patient')" in text
