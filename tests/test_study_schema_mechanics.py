"""Study files are read with every mistake at once; the schema teaches."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radgen.cli import app as cli
from radgen.cli._sections import SECTIONS
from radgen.errors import ConfigError
from radgen.study import Study, json_schema, scaffold
from radgen.study._toml import toml_lines
from study_cohort import STUDY, small_study


def load(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return Study.load(path)


def test_all_mistakes_come_at_once_with_line_and_remedy(tmp_path: Path) -> None:
    text = STUDY.replace("seed = 3", "sead = 3").replace("batch =", "batsh =")
    text = text.replace('type = "binary"', 'type = "binar"') + "\n[reprot]\nscans = 1\n"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    problems = caught.value.problems
    assert len(problems) == 5  # the two unknown keys, the missing batch, the type, the section
    for wanted in (
        ":4: Unknown key 'sead' in [study]. Did you mean 'seed'?",
        "Unknown key 'batsh' in [harmonise]. Did you mean 'batch'?",
        "Unknown key 'reprot' in the study file. Did you mean 'report'?",
        "'binar' is not allowed. Allowed:",
        "[harmonise] lacks the key 'batch'.",
    ):
        assert any(wanted in problem for problem in problems), (wanted, problems)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('[images]\nimage = "a.nii"\nmask = "{id}.nii"', 'needs the part "{id}"'),
        ('[images]\nimage = "{id}.nii"', "no mask is named"),
        ('[images]\nmask = "{id}.nii"', "say where the scans are"),
        ("", "no image data"),
        ('[features.table]\npath = "a.csv"\n[images]\nimage = "{id}"\nmask = "{id}"', "not both"),
    ],
)
def test_sections_that_do_not_fit_are_explained(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(ConfigError, match="1 problem") as caught:
        load(tmp_path, f'[study]\nname = "x"\n{section}\n')
    assert words in str(caught.value)


def test_lines_of_keys_are_those_of_the_file() -> None:
    lines = STUDY.splitlines()
    for location, number in toml_lines(STUDY).items():
        assert str(location[-1]) in lines[number - 1] or isinstance(location[-1], int)


def test_every_key_of_the_schema_is_described() -> None:
    schema = json_schema()
    for name, model in {"study file": schema, **schema["$defs"]}.items():
        for key, field in model.get("properties", {}).items():
            assert field.get("description"), f"{name}.{key} has no description"
        if "properties" in model:
            assert model["additionalProperties"] is False


def test_problems_of_tables_come_at_once(tmp_path: Path) -> None:
    path = small_study(tmp_path / "cohort")
    clinical = path.parent / "clinical.csv"
    lines = clinical.read_text().splitlines()
    cells = lines[3].split(",")
    header = lines[0].split(",")
    cells[header.index("age")] = "old"
    cells[header.index("died")] = "perhaps"
    lines[3] = ",".join(cells)
    clinical.write_text("\n".join(lines) + "\n")
    (path.parent / "mutations.maf").unlink()
    min((path.parent / "images").iterdir()).unlink()
    problems = [str(problem) for problem in Study.load(path).check()]
    assert len(problems) == 4
    text = "\n".join(problems)
    assert "clinical.csv:4: Column 'age': 1 cells are no numbers (line 4: 'old')." in text
    assert "clinical.survival.survival.event_values" in text
    assert "There is no file" in text
    assert "P0001: the image" in text


def test_check_reads_scans_when_asked(tmp_path: Path) -> None:
    path = small_study(tmp_path / "cohort")
    assert Study.load(path).check() == []
    image = sorted((path.parent / "images").iterdir())[2]
    image.write_bytes(image.read_bytes()[:100])
    assert Study.load(path).check() == []
    (problem,) = Study.load(path).check(scans=True)
    assert problem.line == 4
    assert "P0003" in problem.what


def test_init_writes_a_file_that_is_valid(tmp_path: Path) -> None:
    path = small_study(tmp_path / "cohort")
    path.unlink()
    found = scaffold(path.parent)
    settings = Study.load(found.path).settings
    assert settings.images is not None
    assert settings.images.table == "scans.csv"
    assert settings.clinical is not None
    assert settings.clinical.survival["overall"].time == "survival_days"
    assert "mutations" in settings.omics


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["sub-{0}/anat/sub-{0}_T1w.nii.gz", "sub-{0}/anat/sub-{0}_mask.nii.gz"],
         "{id}/anat/{id}_T1w.nii.gz"),
        (["p{0}/ct.nrrd", "p{0}/tumour_label.nrrd"], "{id}/ct.nrrd"),
        (["images/{0}.nii", "masks/{0}.nii"], "images/{id}.nii"),
        (["{0}_ct.mha", "{0}_seg.mha"], "{id}_ct.mha"),
    ],
)  # fmt: skip
def test_init_finds_the_layout_of_scans(tmp_path: Path, names: list[str], pattern: str) -> None:
    for patient in ("01", "02", "03"):
        for name in names:
            path = tmp_path / name.format(patient)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    content = tomllib.loads(scaffold(tmp_path).path.read_text())
    assert content["images"]["image"] == pattern
    study = Study.load(tmp_path / "study.toml")
    assert len(study._gather().scans) == 3


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(arguments))
    return result.exit_code, result.output


def test_help_names_every_command_with_examples() -> None:
    _, text = invoke("--help")
    names = [name for name in cli._names() if not name.startswith("_")]
    assert {"init", "check", "run", "demo", "extract", "schema"} <= set(names)
    for name in names:
        assert f"  {name}" in text
    for name in ("init", "check", "run", "demo", "schema"):
        code, words = invoke(name, "--help")
        assert code == 0
        assert "Examples:" in words


def test_help_puts_every_command_under_one_title() -> None:
    placed = [name for section in SECTIONS.values() for name in section]
    assert sorted(placed) == sorted(cli._names())
    assert "Others" not in invoke("--help")[1]


def test_empty_and_misspelt_lines_say_what_to_do() -> None:
    assert "radgen demo" in invoke()[1]
    code, text = invoke("chek")
    assert code == 2
    assert "Did you mean 'check'?" in text


def test_schema_is_json() -> None:
    code, text = invoke("schema")
    assert code == 0
    assert json.loads(text)["properties"]["images"]
