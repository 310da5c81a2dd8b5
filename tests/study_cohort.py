"""A small simulated study on disk, made once for the tests of the study floor."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from radgen.sim import CohortSettings, simulate_cohort

STUDY = """
[study]
name = "Small study"
seed = 3

[images]
table = "scans.csv"
id = "patient_id"
image = "image"
mask = "mask"
modality = "MR"
regions = { tumour = 1 }
carry = ["scanner"]

[preprocess]
spacing_mm = [4, 3, 3]
normalise = "zscore"
normalise_within = "background"
discretise = { method = "number", value = 8 }

[features]
families = ["morphology", "intensity_statistics"]
spatial_autocorrelation = false
enclosing_shapes = false

[clinical]
path = "clinical.csv"
id = "patient_id"

[clinical.columns]
age = "number"
sex = "category"
response = { type = "binary", levels = ["non-responder", "responder"] }

[clinical.survival.survival]
time = "survival_days"
event = "died"

[omics.mutations]
path = "mutations.maf"
layer = "mutation"
assayed = "sequenced.txt"

[harmonise]
batch = "scanner"

[[associate]]
name = "Mutations"
layer = "mutations"

[[survival]]
name = "Hazards"
outcome = "survival"
phenotypes = ["RNU0"]

[report]
scans = 2
"""


@cache
def _original() -> Path:
    """Make the cohort once a process; it is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="radgen-cohort-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = CohortSettings(
        n_samples=24, n_sites=2, n_variants=40, n_genes=24, n_modules=2, seed=5
    )
    simulate_cohort(settings).write(folder)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder


def small_study(to: Path) -> Path:
    """Return the study file of a fresh copy of the small cohort in `to`."""
    shutil.copytree(_original(), to)
    return to / "study.toml"


def leave_figures_out(patch: pytest.MonkeyPatch) -> None:
    """Let reports be written without drawing their figures, while `patch` lasts."""
    from radgen.report.svg import Drawing

    patch.setattr("radgen.report.page.draw", lambda *_: Drawing("<svg/>", "<svg/>", 100))
