"""Runs that are repeated, killed, disturbed or spread give the same result."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from dying import square_or_die
from radgen._core.executors import map_surviving
from radgen.errors import ConfigError, InputError
from radgen.study import Study, StudyRun, executor
from radgen.study.cache import Cache, FileDigests, codec_of, frame_codec
from radgen.study.lock import lock_folder
from radgen.types import PhenotypeTable
from study_cohort import small_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return small_study(tmp_path / "cohort")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    folder = tmp_path_factory.mktemp("undisturbed")
    return Study.load(small_study(folder / "cohort")).run(folder / "out")


def steps(out: Path) -> dict[str, dict[str, int]]:
    record = json.loads((out / "provenance.json").read_text())
    return {item["step"]: item for item in record["steps"]}


@pytest.mark.usefixtures("undrawn")
def test_a_second_run_computes_nothing(undisturbed: StudyRun, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = Study.load(study).run(out)
    second = Study.load(study).run(out)
    assert undisturbed.complete
    assert first.outputs == second.outputs == undisturbed.outputs
    assert all(item["computed"] == 0 for item in steps(out).values())
    assert undisturbed.report.stat().st_size > 10_000


@pytest.mark.usefixtures("undrawn")
def test_processes_give_the_same_result_as_one(
    undisturbed: StudyRun, study: Path, tmp_path: Path
) -> None:
    done = Study.load(study).run(tmp_path / "out", jobs=2)
    assert done.outputs == undisturbed.outputs


@pytest.mark.usefixtures("undrawn")
def test_a_changed_scan_alone_is_measured_again(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Study.load(study).run(out)
    masks = sorted((study.parent / "masks").iterdir())
    masks[0].write_bytes(masks[1].read_bytes())
    (study.parent / "images" / masks[0].name).write_bytes(
        (study.parent / "images" / masks[1].name).read_bytes()
    )
    done = Study.load(study).run(out)
    assert steps(out)["measure"]["computed"] == 0  # the content was measured under another name
    assert done.phenotypes.values[0].tolist() == done.phenotypes.values[1].tolist()


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_entry_is_computed_again(
    undisturbed: StudyRun, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Study.load(study).run(out)
    entries = sorted((out / "cache" / "measure").iterdir())
    table = entries[0] / "long.parquet"
    table.write_bytes(table.read_bytes()[:-7])
    sidecar = entries[1] / "entry.json"
    sidecar.write_text(sidecar.read_text().replace("encoding", "encodings"))
    (entries[2] / "entry.json").unlink()
    done = Study.load(study).run(out)
    assert done.outputs == undisturbed.outputs
    assert steps(out)["measure"]["computed"] == 3


def _start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "radgen", "run", str(study), "--out", str(out), "--jobs", "1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.usefixtures("undrawn")
def test_a_killed_run_goes_on_where_it_was(
    undisturbed: StudyRun, study: Path, tmp_path: Path
) -> None:
    """One kill; verification/killed_runs.py kills at many moments, one after another."""
    out = tmp_path / "out"
    process = _start(study, out)
    while process.poll() is None:
        if len(list((out / "cache" / "measure").glob("[0-9a-f]*"))) >= 6:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    kept = set((out / "cache" / "measure").glob("[0-9a-f]*"))
    done = Study.load(study).run(out)
    assert done.outputs == undisturbed.outputs
    assert kept <= set((out / "cache" / "measure").glob("[0-9a-f]*"))
    assert steps(out)["measure"]["computed"] == 24 - len(kept)
    assert not list(out.rglob(".writing-*"))


@pytest.mark.usefixtures("undrawn")
def test_two_runs_in_one_folder_are_refused(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with lock_folder(out), pytest.raises(InputError, match=r"Another radgen run .*\(process \d+"):
        Study.load(study).run(out)
    assert Study.load(study).run(out).complete


@pytest.mark.usefixtures("undrawn")
def test_a_bad_scan_is_a_row_and_the_run_goes_on(study: Path, tmp_path: Path) -> None:
    images = sorted((study.parent / "images").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:300])
    images[1].unlink()
    masks = sorted((study.parent / "masks").iterdir())
    masks[2].write_bytes(masks[3].read_bytes() if _other_grid(study, 2, 3) else b"")
    out = tmp_path / "out"
    done = Study.load(study).run(out)
    assert not done.complete
    assert done.n_failed_scans == 3
    assert done.phenotypes.n_samples == 21
    status = pl.read_parquet(out / "tables" / "status.parquet").filter(pl.col("phenotype") == "")
    assert status["status"].to_list() == ["failed"] * 3
    text = " ".join(status["reason"].to_list())
    assert "the image file does not exist" in text
    assert str(tmp_path) not in text
    assert str(tmp_path) not in (out / "run.log").read_text()


def _other_grid(study: Path, one: int, two: int) -> bool:
    scanners = pl.read_csv(study.parent / "scans.csv")["scanner"]
    return bool(scanners[one] != scanners[two])


def test_a_unit_that_kills_its_worker_is_named_and_the_others_are_done() -> None:
    with executor(2) as pool:
        found = map_surviving(
            square_or_die, list(range(6)), pool=pool, lost=lambda unit, why: -unit, what="Squares"
        )
    assert found == [0, 1, 4, -3, 16, 25]


@pytest.fixture
def cluster() -> Iterator[object]:
    import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as found:
        yield found


@pytest.mark.usefixtures("undrawn")
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_gives_the_same_result(
    cluster: object, undisturbed: StudyRun, study: Path, tmp_path: Path
) -> None:
    import distributed

    out = tmp_path / "out"
    address = cluster.scheduler_address  # type: ignore[attr-defined]
    killed: list[int] = []

    def kill_one() -> None:
        with distributed.Client(address, set_as_default=False) as client:
            pids = list(client.run(os.getpid).values())
        while len(list((out / "cache" / "measure").glob("[0-9a-f]*"))) < 3:
            time.sleep(0.005)
        os.kill(pids[0], signal.SIGKILL)
        killed.append(len(list((out / "cache" / "measure").glob("[0-9a-f]*"))))

    hunter = threading.Thread(target=kill_one, daemon=True)
    hunter.start()
    done = Study.load(study).run(out, cluster=address)
    hunter.join(20)
    assert killed
    assert killed[0] < 24
    assert done.outputs == undisturbed.outputs


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_does_not_answer_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radgen._core.executors._PATIENCE", "1s")
    with (
        pytest.raises(InputError, match="No Dask scheduler answers"),
        executor(1, "tcp://127.0.0.1:1"),
    ):
        pass


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    table = PhenotypeTable.from_frame({"sample": ["a", "b"], "volume": [1.5, float("nan")]})
    codec = codec_of(PhenotypeTable)
    key = cache.key("table", 1, {"a": 1}, ["x"])
    assert cache.load("table", key, codec) is None
    cache.store("table", key, table, codec)
    cache.store("table", key, table, codec)
    back = cache.load("table", key, codec)
    assert back is not None
    assert back.samples == table.samples
    assert back.values.tobytes() == table.values.tobytes()
    assert back.specs.equals(table.specs)
    assert cache.load("table", key, frame_codec()) is None  # stored by another codec: removed
    assert not cache.has("table", key)


def test_digests_of_files_follow_their_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = FileDigests(tmp_path / "known.json").of(path)
    path.write_text("two")
    digests = FileDigests(tmp_path / "known.json")
    assert digests.of(path) != first
    digests.save()
    assert str(tmp_path) not in (tmp_path / "known.json").read_text()


@pytest.mark.usefixtures("undrawn")
def test_voxel_maps_lie_over_the_scans_of_the_report(tmp_path: Path) -> None:
    study = small_study(tmp_path / "cohort")
    more = 'scans = 2\nmaps = ["glcm:contrast", "intensity_statistics:Q4LE"]'
    study.write_text(study.read_text().replace("scans = 2", more))
    Study.load(study).run(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    shown = re.findall(r"(\w[\w ]*) in colour over a slice of sample (\w+)", page)
    assert sorted({name for name, _ in shown}) == ["Contrast", "Mean intensity"]
    assert len(shown) == 4
    assert "2 scans, 0 not ok. Colours show maps on the slice" in page
    study.write_text(study.read_text().replace("glcm:contrast", "glcm:contrats"))
    with pytest.raises(ConfigError, match="Contrast"):
        Study.load(study)
