"""[response], [[treatment]] and genes of a study file: what the functions give, and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import ConfigError
from radgen.io.lesion_tables import read_lesions
from radgen.phenotype.response import assess_response
from radgen.predict import treatment_effects
from radgen.study import Study, scaffold
from radgen.types import Covariates, Outcome, PhenotypeTable

N = 140

HEAD = """
[study]
name = "Trial"
seed = 1

[features.table]
path = "features.csv"
id = "id"

[clinical]
path = "trial.csv"
id = "id"

[clinical.columns]
arm = "category"
site = "category"
age = "number"
mutated = { type = "binary", levels = ["no", "yes"] }

[clinical.survival.overall]
time = "days"
event = "dead"
unit = "days"
"""

RESPONSE = """
[response]
lesions = "lesions.csv"
id_rule = { strip_prefix = "T-" }
"""

TREATMENT = """
[[treatment]]
name = "Whom does the drug help?"
outcome = "overall"
arm = "arm"
control = "placebo"
phenotypes = ["*"]
clinical = ["mutated"]
covariates = ["age"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a trial: the drug helps where f0 is high; f1 is prognostic alone; f2 is noise."""
    rng = np.random.default_rng(11)
    ids = [f"P{k:03d}" for k in range(N)]
    f = rng.normal(size=(N, 3))
    drug = np.arange(N) % 2
    hazard = np.exp(0.7 * f[:, 1] - 1.2 * drug * f[:, 0])
    days = rng.exponential(300, N) / hazard + 1
    pl.DataFrame({"id": ids} | {f"f{j}": f[:, j] for j in range(3)}).write_csv(
        tmp_path / "features.csv"
    )
    pl.DataFrame(
        {
            "id": ids, "arm": [["placebo", "drug"][k] for k in drug],
            "site": [["a", "b", "c"][k % 3] for k in range(N)], "age": rng.normal(60, 8, N),
            "mutated": [["no", "yes"][k] for k in rng.integers(0, 2, N)],
            "days": np.minimum(days, 900.0), "dead": (days < 900).astype(int),
        }
    ).write_csv(tmp_path / "trial.csv")  # fmt: skip
    better = drug * (f[:, 0] > 0)
    rows = []
    for k, name in enumerate(ids):
        if k % 10 == 9:
            rows.append((f"T-{name}", "L1", "target", 1, 0, 50.0))  # never seen again
            continue
        last = 20.0 if better[k] else 50.0 + 20.0 * (k % 3)
        for visit, day, size in ((1, 0, 50.0), (2, 50, (50.0 + last) / 2), (3, 100, last),
                                 (4, 150, last)):  # fmt: skip
            rows.append((f"T-{name}", "L1", "target", visit, day, size))
    columns = ["patient", "lesion", "role", "visit", "day", "diameter"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(tmp_path / "lesions.csv")
    return tmp_path


def _study(folder: Path, text: str) -> Study:
    (folder / "study.toml").write_text(HEAD + text, encoding="utf-8")
    return Study.load(folder / "study.toml")


def test_a_treatment_block_is_what_the_function_gives(folder: Path) -> None:
    study = _study(folder, TREATMENT)
    assert study.check() == []
    run = study.run(folder / "out")
    assert run.complete
    found = run.results["Whom does the drug help?"]
    trial = pl.read_csv(folder / "trial.csv")
    features = pl.read_csv(folder / "features.csv").rename({"id": "sample"})
    ids = tuple(trial["id"])
    want = treatment_effects(
        {
            "imaging": PhenotypeTable.from_frame(features),
            "clinical": Covariates(
                ids, ("mutated=yes",), (trial["mutated"] == "yes").cast(float).to_numpy()[:, None]
            ),
        },
        dict(trial.select("id", "arm").iter_rows()),
        Outcome("overall", "censored", ids, trial["days"].to_numpy(),
                trial["dead"].to_numpy().astype(bool)),
        control="placebo",
        covariates=Covariates(ids, ("age",), trial["age"].to_numpy()[:, None]),
    )  # fmt: skip
    assert found.frame.equals(want.frame)
    strongest = found.frame.sort("interaction_p")
    assert strongest["marker"][0].endswith("f0")
    assert strongest["interaction_p_adjusted"][0] < 1e-4
    page = run.report.read_text(encoding="utf-8")
    assert "Whom does the drug help?" in page
    assert "predictive" in page


def test_lesions_become_outcomes_that_analyses_name(folder: Path) -> None:
    text = (
        RESPONSE
        + TREATMENT.replace('"overall"', '"responder"')
        + (
            '[[survival]]\nname = "Time to progression"\noutcome = "progression"\n'
            'phenotypes = ["f0"]\nvariables = ["arm"]\n'
            '[[predict]]\nname = "Response"\noutcome = "disease_control"\nclinical = ["arm"]\n'
            'selection = "none"\nfolds = 2\nrepeats = 1\ninner_folds = 2\n'
        )
    )
    study = _study(folder, text)
    assert study.check() == []
    run = study.run(folder / "out")
    assert run.complete, run.failures
    table = read_lesions(folder / "lesions.csv")
    want = assess_response(table.with_columns(pl.col("sample").str.strip_prefix("T-")))
    assert run.results["Response to treatment"].frame.equals(want.frame)
    unknown = want.frame.filter(pl.col("best") == "NE").height
    assert unknown == N // 10
    assert run.results["Whom does the drug help?"].n_used == N - unknown
    assert run.results["Time to progression"].n_used <= N
    assert "RECIST 1.1" in run.report.read_text(encoding="utf-8")
    # As trials count them: who was not evaluable did not respond.
    text = text.replace("[response]", '[response]\nnot_evaluable = "no"')
    sheet = _study(folder, text)._gather().sheet
    assert sheet.outcome("responder").known.sum() == N
    responders = (want.frame["best"].is_in(["CR", "PR"])).sum()
    assert np.nansum(sheet.outcome("responder").values) == responders > 20


def test_a_rule_is_valued_in_patients_left_out(folder: Path) -> None:
    run = _study(folder, TREATMENT + "rule = true\nfolds = 3\nrepeats = 1\n").run(folder / "out")
    assert run.complete, run.failures
    rule = run.results["Whom does the drug help? (a rule)"]
    value = rule.area
    assert value > 0
    benefits = rule.benefits.join(
        pl.read_csv(folder / "features.csv").rename({"id": "sample"}), on="sample"
    )
    assert np.corrcoef(benefits["benefit"], benefits["f0"])[0, 1] > 0.5
    assert (folder / "out" / "tables" / "treatment-whom-does-the-drug-help.parquet").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('arm = "arm"', 'arm = "site"', "'site' has 3 values (a, b, c); two arms are needed."),
        ('arm = "arm"', 'arm = "age"', "'age' is a number"),
        ('arm = "arm"', 'arm = "arms"', "No clinical column is named 'arms'. Did you mean 'arm'?"),
        ('"placebo"', '"placbo"', "'arm' has no value 'placbo'. Did you mean 'placebo'?"),
        ('"overall"', '"overal"', "No outcome is named 'overal'. Did you mean 'overall'?"),
        ('["mutated"]', '["mutated", "arm"]', "'arm' is the treatment."),
        ('["age"]', '["age"]\nlayers = ["rna"]', "No molecular layer is named 'rna'."),
        ('["age"]', '["age"]\nhorizon = 365', "belong to rule = true"),
        ('["*"]\nclinical = ["mutated"]', "[]", "name markers"),
    ],
)
def test_what_cannot_be_is_told_before_the_run(
    folder: Path, old: str, new: str, words: str
) -> None:
    text = TREATMENT.replace(old, new)
    assert text != TREATMENT
    (folder / "study.toml").write_text(HEAD + text, encoding="utf-8")
    problems = [str(item) for item in Study.problems_of(folder / "study.toml")]
    assert any(words in item for item in problems), problems


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("criteria", "size", "words"),
    [
        ('criteria = "RANO"\nvolumes = true\nvisits = "visits.csv"', "volume (ml)", ("PR", "PD")),
        ('criteria = "PERCIST"', "sulpeak", ("PMR", "PMD")),
    ],
)
def test_gliomas_and_pet_of_a_study_become_outcomes(
    folder: Path, criteria: str, size: str, words: tuple[str, str]
) -> None:
    lesions = pl.read_csv(folder / "lesions.csv")
    changed = pl.col("diameter") * 0.2
    small = pl.when(pl.col("diameter") < 30).then(changed * 0.5).otherwise(changed)
    lesions.with_columns(small.alias(size)).drop("diameter").write_csv(folder / "lesions.csv")
    lesions.select("patient", "visit", pl.lit("stable").alias("clinical")).unique(
        maintain_order=True
    ).write_csv(folder / "visits.csv")
    text = RESPONSE + criteria + "\n" + TREATMENT.replace('"overall"', '"responder"')
    study = _study(folder, text)
    assert study.check() == []
    run = study.run(folder / "out")
    assert run.complete
    best = run.results["Response to treatment"].frame["best"].to_list()
    assert set(words) <= set(best)
    assert run.results["Whom does the drug help?"].frame.height > 0
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert criteria.split('"')[1] in page


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('lesions = "lesions.csv"', 'lesions = "none.csv"', "There is no file"),
        ('lesions = "lesions.csv"', "", "set one of lesions, sdtm_tr and masks"),
        ('"T-"', '"X-"', "Set response.id_rule."),
        (
            "[response]",
            '[response]\ncriteria = "WHO"',
            "Allowed: 'RECIST 1.1', 'iRECIST', 'mRECIST', 'RANO', 'RANO 2.0' or 'PERCIST'",
        ),
    ],
)
def test_lesions_that_cannot_be_judged_are_told_before_the_run(
    folder: Path, old: str, new: str, words: str
) -> None:
    text = RESPONSE.replace(old, new) + TREATMENT.replace('"overall"', '"responder"')
    (folder / "study.toml").write_text(HEAD + text, encoding="utf-8")
    problems = [str(item) for item in Study.problems_of(folder / "study.toml")]
    assert any(words in item for item in problems), problems


def test_init_proposes_the_block_where_a_column_has_two_arms(folder: Path) -> None:
    features = pl.read_csv(folder / "features.csv")
    (folder / "features.csv").unlink()
    text = scaffold(folder).path.read_text(encoding="utf-8")
    features.write_csv(folder / "features.csv")
    lines = text.splitlines()
    at = lines.index("# [[treatment]]")
    block = "\n".join(line.removeprefix("# ") for line in lines[at : at + 6])
    assert 'arm = "arm"   # drug, placebo' in block
    table = '[features.table]\npath = "features.csv"\nid = "id"\n'
    text = f"{text[: text.index('# Scans')]}{table}{text[text.index('# The table of patients') :]}"
    text = text.replace('lesions = "lesions.csv"', 'lesions = "lesions.csv"\n'
                        'id_rule = { strip_prefix = "T-" }')  # fmt: skip
    (folder / "study.toml").write_text(text + block, encoding="utf-8")
    study = Study.load(folder / "study.toml")
    assert study.settings.treatment[0].arm == "arm"
    assert study.settings.response is not None
    assert study.check() == []


def test_names_that_response_makes_are_not_taken_twice(folder: Path) -> None:
    head = HEAD.replace('site = "category"', 'responder = { column = "site", type = "category" }')
    (folder / "study.toml").write_text(head + RESPONSE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[response\] makes responder"):
        Study.load(folder / "study.toml").run(folder / "out")


def test_genes_give_links_their_chromosomes(folder: Path) -> None:
    rng = np.random.default_rng(3)
    f = pl.read_csv(folder / "features.csv")
    genes = {f"G{k}": f[f"f{k % 3}"] + 0.5 * pl.Series(rng.normal(size=N)) for k in range(6)}
    pl.DataFrame({"id": f["id"]} | genes).write_csv(folder / "rna.csv")
    (folder / "genes.bed").write_text("".join(f"chr{k + 1}\t100\t900\tG{k}\n" for k in range(6)))
    text = (
        '[omics.rna]\npath = "rna.csv"\nlayer = "expression"\nscale = "log2"\n'
        '[[associate]]\nname = "RNA"\nlayer = "rna"\n'
    )
    run = _study(folder, text + 'genes = "genes.bed"\n').run(folder / "out")
    places = run.results["RNA"].places
    assert places["name"].to_list() == [f"G{k}" for k in range(6)]
    assert places["chrom"].to_list() == [str(k + 1) for k in range(6)]
    assert "circle" in run.report.read_text(encoding="utf-8").lower()
    (folder / "genes.bed").write_text("chr1\tx\t9\tG1\n")
    (problem,) = Study.load(folder / "study.toml").check()
    assert "genes.bed" in str(problem)
