"""Reliability, harmonisation and environments in a study file: rules, check messages, results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import ConfigError
from radgen.predict import audit, read_bundle
from radgen.study import Study
from radgen.study.models import apply_bundle

N = 90
NAMES = [f"f{j}" for j in range(6)]

HEAD = """
[study]
name = "Trust"
seed = 1

[features.table]
path = "features.csv"
id = "id"

[clinical]
path = "clinic.csv"
id = "id"

[clinical.columns]
maker = "category"
kernel = "category"
person = "category"
age = "number"
sex = "category"
grade = "category"
days = "number"
response = { type = "binary", levels = ["no", "yes"] }

[clinical.survival.overall]
time = "days"
event = "dead"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write six features: f0, f1 carry the outcome, f4, f5 are noise in every repeat."""
    rng = np.random.default_rng(4)
    ids = [f"P{k:03d}" for k in range(N)]
    maker, kernel = rng.integers(0, 3, N), rng.integers(0, 2, N)
    age = rng.normal(60, 9, N)
    y = rng.integers(0, 2, N)
    true = rng.normal(size=(N, 6))
    true[:, 0] += 1.6 * y
    true[:, 1] -= 1.2 * y
    true[:, 2] += 0.08 * age
    scan = true + 2.0 * maker[:, None] - kernel[:, None]
    features = pl.DataFrame(scan, schema=NAMES).insert_column(0, pl.Series("id", ids))
    features.write_csv(tmp_path / "features.csv")
    pl.DataFrame(
        {
            "id": ids, "maker": [["GE", "Siemens", "Philips"][k] for k in maker],
            "kernel": [["soft", "sharp"][k] for k in kernel],
            "person": [f"H{k // 2:02d}" for k in range(N)], "age": age,
            "sex": [["f", "m"][k] for k in rng.integers(0, 2, N)],
            "grade": [["2", "3", "4"][k] for k in rng.integers(0, 3, N)],
            "response": [["no", "yes"][k] for k in y], "days": rng.exponential(400, N) + 9,
            "dead": rng.integers(0, 2, N),
        }
    ).write_csv(tmp_path / "clinic.csv")  # fmt: skip
    error = np.array([0.2, 0.2, 0.2, 0.2, 3.0, 3.0])
    parts = []
    for visit in (1, 2):
        own = true[:40] + rng.normal(size=(40, 6)) * error
        part = pl.DataFrame(own, schema=NAMES).insert_column(0, pl.Series("id", ids[:40]))
        parts.append(part.with_columns(visit=pl.lit(visit)))
        part.write_csv(tmp_path / f"reader{visit}.csv")
    pl.concat(parts).write_csv(tmp_path / "retest.csv")
    return tmp_path


def _study(folder: Path, text: str) -> Study:
    (folder / "study.toml").write_text(HEAD + text, encoding="utf-8")
    return Study.load(folder / "study.toml")


PREDICT = """
[[predict]]
name = "Response"
outcome = "response"
selection = "none"
folds = 2
repeats = 1
inner_folds = 2
"""

RETEST = """
[reliability]
table = "retest.csv"
repeat = "visit"
"""


@pytest.mark.usefixtures("undrawn")
def test_unreliable_phenotypes_leave_associations_and_models(folder: Path) -> None:
    text = RETEST + PREDICT + 'freeze = true\n[[associate]]\nname = "Sex"\nvariables = ["sex"]\n'
    run = _study(folder, text).run(folder / "out")
    assert run.complete
    verdicts = run.results["Reliability of phenotypes"].table.select("phenotype", "verdict")
    expected = dict.fromkeys(NAMES[:4], "keep") | dict.fromkeys(NAMES[4:], "drop")
    assert dict(verdicts.iter_rows()) == expected
    tested = run.results["Sex"].table["phenotype"].unique().to_list()
    assert sorted(tested) == NAMES[:4]
    model = read_bundle(folder / "out" / "models" / "response.json")
    step = dict(model.steps["imaging"].steps)["reliability"]
    assert step.support_.tolist() == [True] * 4 + [False] * 2
    result = run.results["Response"]
    assert "ICC(1,1)" in result.methods()
    assert audit(result).passed
    free = _study(folder, text.replace("freeze = true", "reliable = false")).run(folder / "out")
    assert free.results["Response"].estimate("imaging only") != result.estimate("imaging only")


def test_repeats_of_test_patients_take_no_part(folder: Path) -> None:
    """Every fold filters by the repeats of its training patients, and of nobody else."""
    from radgen.predict import Reliability
    from radgen.predict.planning import set_up
    from radgen.types import Outcome, PhenotypeTable

    features = pl.read_csv(folder / "features.csv").rename({"id": "sample"})
    clinic = pl.read_csv(folder / "clinic.csv")
    outcome = Outcome("response", "binary", tuple(clinic["id"]),
                      (clinic["response"] == "yes").cast(float).to_numpy())  # fmt: skip
    tables = {
        name: PhenotypeTable.from_frame(pl.read_csv(folder / name).rename({"id": "sample"}))
        for name in ("reader1.csv", "reader2.csv")
    }
    for name, one in tables.items():
        strangers = one.to_frame().head(2).with_columns(sample=pl.Series(["X1", "X2"]))
        tables[name] = PhenotypeTable.from_frame(pl.concat([one.to_frame(), strangers]))
    setup = set_up(
        {"imaging": PhenotypeTable.from_frame(features)}, outcome, seed=1, folds=3, repeats=1,
        reliability=Reliability(tables),
    )  # fmt: skip
    repeats = setup.common["repeats"]["imaging"]
    assert repeats.patients.min() == -1
    for split in setup.splits:
        filter_ = repeats.filter_for(setup.design.patients[split.train])
        trained = {setup.design.samples[i] for i in split.train}
        assert len(filter_.repeats) == len(trained & set(tables["reader1.csv"].samples)) + 2


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('batch = "maker"\nkeep = ["sex"]\nsmooth = ["age"]', "keeping sex, a curve of age"),
        ('batch = ["maker", "kernel"]\nkeep = ["age"]', "nested ComBat of maker, kernel"),
        ('batch = "maker"\nmethod = "covbat"\nreference = "GE"', "CovBat of maker"),
        ('batch = "maker"\nsubject = "person"\nmean_only = false', "longitudinal ComBat of maker"),
        ('batch = "maker"\nshrink = true\nparametric = false', "with empirical Bayes"),
    ],
)
def test_every_variant_harmonises_in_the_folds_and_for_all_rows(
    folder: Path, keys: str, words: str
) -> None:
    text = f"[harmonise]\n{keys}\n" + PREDICT + "harmonise = true\nfreeze = true\n"
    run = _study(folder, text).run(folder / "out")
    assert run.complete, run.failures
    result = run.results["Response"]
    assert words in result.methods()
    assert audit(result).passed
    flat = pl.read_parquet(folder / "out" / "tables" / "phenotypes-harmonised.parquet")
    maker = dict(pl.read_csv(folder / "clinic.csv").select("id", "maker").iter_rows())
    place = np.array([maker[s] for s in flat["sample"]])
    means = [flat["f3"].to_numpy()[place == name].mean() for name in np.unique(place)]
    assert np.ptp(means) < 1.0  # 4 before
    # A frozen model finds the columns it needs in the new tables, and predicts alike.
    clinic = pl.read_csv(folder / "clinic.csv").rename({"id": "sample"})
    both = pl.read_csv(folder / "features.csv").rename({"id": "sample"})
    both.join(clinic, on="sample").write_csv(folder / "new.csv")
    found, _ = apply_bundle(
        folder / "out" / "models" / "response.json", [folder / "new.csv"], id_name="sample"
    )
    truth = (clinic["response"] == "yes").to_numpy()
    score = found.sort("sample")["score"].to_numpy()
    assert score[truth].mean() > score[~truth].mean() + 0.2


@pytest.mark.usefixtures("undrawn")
def test_sites_left_out_follow_the_stated_policy(folder: Path) -> None:
    text = '[harmonise]\nbatch = "maker"\n{}\n' + PREDICT + 'harmonise = true\nscheme = "{}"\n'
    scores = {}
    for policy in ("", 'unseen = "adapt"', 'unseen = "leave"'):
        run = _study(folder, text.format(policy, "leave-site-out")).run(folder / "out")
        assert run.complete, run.failures
        scores[policy] = run.results["Response"].predictions["score"].to_numpy()
    np.testing.assert_array_equal(scores[""], scores['unseen = "adapt"'])
    assert not np.allclose(scores[""], scores['unseen = "leave"'])
    problems = _study(folder, text.format('unseen = "refuse"', "leave-site-out")).check()
    assert ["Every site that is left out is new" in str(p) for p in problems] == [True]


def test_environments_and_readers_of_a_study(folder: Path) -> None:
    text = """
[reliability]
table = ["reader1.csv", "reader2.csv"]
form = "2,1"

[[environments]]
name = "Sites"
outcome = "response"
by = "maker"
methods = ["nothing", "lasso", "anchor"]
candidates = 4

[[readers]]
name = "Age by readers"
outcome = "age"
phenotypes = ["f2"]
covariates = ["sex"]
bootstrap = 20
"""
    run = _study(folder, text).run(folder / "out")
    assert run.complete, run.failures
    assert {"Sites", "Sites: environments left out", "Age by readers"} <= set(run.results)
    names = set(run.results["Sites"].table["feature"])
    assert names <= set(NAMES[:4])
    row = run.results["Age by readers"].table.row(0, named=True)
    assert row["phenotype"] == "f2"
    assert row["reliability"] > 0.8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[reliability]\ntable = "retest.csv"\n', "one table needs repeat"),
        ('[reliability]\nthreshold = 0.5\n', "set either table (repeated measurements) or perturb"),
        ('[reliability]\ntable = "retest.csv"\nrepeat = "visti"\n', "Did you mean 'visit'"),
        ('[reliability]\ntable = "clinic.csv"\nrepeat = "kernel"\nid = "id"\n',
         "holds none of the study's features"),
        ("[reliability.perturb]\ncopies = 3\n", "There are no scans to perturb"),
        ('[[readers]]\nname = "R"\noutcome = "age"\n', "[[readers]] needs repeated readings"),
        ('[harmonise]\nbatch = ["maker", "kernel"]\nreference = "GE"\n',
         "several batch columns take no reference"),
        ('[harmonise]\nbatch = "maker"\nsubject = "person"\nsmooth = ["age"]\n',
         "takes one batch column"),
        ('[harmonise]\nbatch = "maker"\nkeep = ["maker"]\n', "stands in two of batch"),
        ('[harmonise]\nbatch = "maker"\nreference = "Simens"\n', "Did you mean 'Siemens'"),
        ('[harmonise]\nbatch = "maker"\nsmooth = ["sex"]\n', "no curve of it can be kept"),
        ('[harmonise]\nbatch = "maker"\nsubject = "persn"\n', "Did you mean 'person'"),
        ('[harmonise]\nbatch = "maker"\nkeep = ["response"]\n' + PREDICT + "harmonise = true\n",
         "'response' is the outcome of 'Response'"),
        ('[harmonise]\nbatch = "maker"\nkeep = ["days"]\n[[predict]]\nname = "S"\n'
         'outcome = "overall"\nharmonise = true\n', "'days' makes the outcome of 'S'"),
        ('[harmonise]\nbatch = "maker"\nkeep = ["sex"]\n[[associate]]\nname = "A"\n'
         'variables = ["sex"]\n', "'sex' is tested by 'A'"),
        (PREDICT.replace('"none"', '"invariant"'), "This needs to know the sites"),
        ('[[environments]]\nname = "E"\noutcome = "response"\nby = "makr"\n',
         "Did you mean 'maker'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_runs(folder: Path, text: str, said: str) -> None:
    (folder / "study.toml").write_text(HEAD + text, encoding="utf-8")
    told = " ".join(str(p) for p in Study.problems_of(folder / "study.toml"))
    assert said in told, told
    with pytest.raises(ConfigError):
        Study.load(folder / "study.toml").run(folder / "out")


@pytest.mark.usefixtures("undrawn")
def test_nothing_reliable_fails_the_analysis_with_its_bounds(folder: Path) -> None:
    text = '[reliability]\ntable = "retest.csv"\nrepeat = "visit"\nthreshold = 0.999\n' + PREDICT
    text += '[[associate]]\nname = "Sex"\nvariables = ["sex"]\n'
    run = _study(folder, text).run(folder / "out")
    assert len(run.failures) == 2
    assert "lower bound of the ICC of 0.999" in run.failures[0]
    assert "No feature has a lower bound" in run.failures[1]


@pytest.mark.usefixtures("undrawn")
def test_scans_of_a_study_are_perturbed_where_none_was_repeated(tmp_path: Path) -> None:
    from study_cohort import small_study

    path = small_study(tmp_path / "study")
    text = path.read_text(encoding="utf-8")
    perturb = "[reliability]\nthreshold = 0.5\n[reliability.perturb]\ncopies = 2\ncontour = false\n"
    path.write_text(text.replace("[report]", f"{perturb}\n[report]"), encoding="utf-8")
    run = Study.load(path).run(tmp_path / "out")
    assert run.complete, run.failures
    found = run.results["Reliability of phenotypes"]
    assert found.n_used == 24
    icc = dict(found.table.select("phenotype", "icc").iter_rows())
    assert set(icc) == set(run.phenotypes.names)
    volume = next(v for k, v in icc.items() if "morphology|volume" in k.lower())
    assert volume > 0.9
    kept = set(found.table.filter(pl.col("verdict") == "keep")["phenotype"])
    assert set(run.results["Mutations"].table["phenotype"]) <= kept
    again = Study.load(path).run(tmp_path / "out")
    assert again.outputs == run.outputs
