"""The small things every floor stands on."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from radgen._core.blocks import block_ranges, map_units
from radgen._core.digest import digest, digest_file
from radgen._core.files import atomic_path, write_text
from radgen._core.naming import did_you_mean, nearest, require_choice
from radgen._core.progress import use_progress
from radgen._core.registry import Registry
from radgen._core.require import require
from radgen._core.rng import spawn
from radgen._core.sealed import read_sealed, write_sealed
from radgen.errors import FormatError, InputError, MissingDependencyError, RadgenError, shown


def _square(value: int) -> int:
    return value * value


def test_digest_sees_content_and_not_order_of_keys() -> None:
    a = np.arange(6.0).reshape(2, 3)
    assert digest({"x": a, "y": (1, 2.5)}) == digest({"y": [1, 2.5], "x": a.copy()})
    assert digest(a) != digest(a.T)
    assert digest(a) != digest(a.astype(np.float32))
    assert digest(np.asfortranarray(a)) == digest(a)
    assert digest(True) != digest(1)
    assert digest(None) != digest("None")
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    with pytest.raises(InputError, match="no stable digest"):
        digest(object())


def test_digest_of_texts_is_that_of_their_json_one_by_one() -> None:
    texts = ['a"b', None, "\u00fc\u2028", "", "\n"] * 20_000
    tokens = "".join(
        "NoneType:null;" if text is None else f"str:{json.dumps(text)};" for text in texts
    )
    want = hashlib.sha256(f"seq:{len(texts)}[{tokens}]".encode()).hexdigest()
    assert digest(texts) == digest(tuple(texts)) == want
    assert digest(["1", None]) != digest(["1", "None"]) != digest(["1", 1])


def test_sealed_files_come_back_or_say_why_not(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = {
        "encoding_type": "radgen.thing",
        "encoding_version": 3,
        "values": [1.5, "\u00fc", None],
    }
    key = write_sealed(path, content)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {**content, "digest": key}
    assert read_sealed(path, "radgen.thing", 3, what="stored thing") == content
    for changed, words in (
        (text[:-9], "This is no stored thing: "),
        ("[1]", "no stored thing of radgen"),
        (text.replace("radgen.thing", "radgen.model"), "no stored thing of radgen"),
        (text.replace('"encoding_version": 3', '"encoding_version": 4'), "has version 4"),
        (text.replace("1.5", "1.6"), "digest differs"),
    ):
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(FormatError, match=words):
            read_sealed(path, "radgen.thing", 3, what="stored thing")


def test_digest_file_sees_bytes_and_names(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "one.txt", "1")
    first = digest_file(tmp_path / "a")
    write_text(tmp_path / "a" / "one.txt", "2")
    assert digest_file(tmp_path / "a") != first
    assert digest_file(tmp_path / "a" / "one.txt") != digest_file(tmp_path / "a")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_random_streams_depend_on_the_key_alone() -> None:
    assert spawn(1, "fold", 3).random() == spawn(1, "fold", 3).random()
    drawn = [spawn(1, "fold", k).random() for k in range(100)]
    assert len(set(drawn)) == 100
    assert spawn(1, "a", 1).random() != spawn(1, "a", "1").random()


def test_typos_are_answered_with_the_nearest_name() -> None:
    assert nearest("bin_widht", ["bin_width", "bin_number"]) == "bin_width"
    assert "Known: a, b" in did_you_mean("zzzzz", ["b", "a"])
    with pytest.raises(InputError, match="Did you mean 'linear'"):
        require_choice("liner", ["linear", "cubic"], what="interpolation")


def test_registry_refuses_duplicates() -> None:
    registry: Registry[int] = Registry("family")
    registry.add("glcm", 1)
    with pytest.raises(InputError, match="registered twice"):
        registry.add("glcm", 2)
    with pytest.raises(InputError, match="Did you mean 'glcm'"):
        registry.get("glmc")
    assert list(registry) == ["glcm"]


def test_missing_optional_package_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"radgen\[deep\]"):
        require("a_package_that_does_not_exist", extra="deep")


def test_blocks_cover_everything_once() -> None:
    assert [i for a, b in block_ranges(10, 3) for i in range(a, b)] == list(range(10))
    assert list(block_ranges(0, 3)) == []


@pytest.mark.parametrize("workers", [None, 1, 4])
def test_results_keep_their_order_at_any_number_of_workers(workers: int | None) -> None:
    executor = None if workers is None else ThreadPoolExecutor(workers)
    done: list[int] = []
    found = map_units(
        _square, range(50), executor=executor, ahead=7, on_done=lambda i, _r: done.append(i)
    )
    assert found == [i * i for i in range(50)]
    assert sorted(done) == list(range(50))


def test_progress_is_told_of_every_unit() -> None:
    from contextlib import contextmanager

    seen: list[int] = []

    @contextmanager
    def hook(what: str, total: int | None):
        assert (what, total) == ("Squaring", 4)
        yield seen.append

    with use_progress(hook):
        map_units(_square, range(4), what="Squaring")
    assert seen == [1, 1, 1, 1]


def test_errors_are_one_tree_and_show_five_ids() -> None:
    error = FormatError("no such column", path="table.csv", line=3)
    assert isinstance(error, RadgenError)
    assert isinstance(error, ValueError)
    assert str(error) == "table.csv:3: no such column"
    assert shown("abcdefg") == "a, b, c, d, e and 2 more"


def test_import_is_quick_and_light() -> None:
    code = (
        "import sys, radgen\n"
        "heavy = {'numpy', 'scipy', 'polars', 'torch', 'matplotlib', 'pydicom', 'sklearn', "
        "'SimpleITK', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
