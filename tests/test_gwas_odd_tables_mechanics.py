"""``radgen gwas`` with the tables that people have: other id names and spellings, words, errors."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import FormatError, RadgenWarning
from radgen.io.sample_table import read_sample_table
from radgen.io.states import code_states

_N, _M = 80, 40


@pytest.fixture(scope="module")
def genotypes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    rng = np.random.default_rng(5)
    codes = rng.choice(np.array([0, 2, 3], np.uint8), (_M, _N), p=[0.1, 0.4, 0.5])
    quads = codes.reshape(_M, -1, 4)
    packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
    (folder / "g.bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    (folder / "g.bim").write_text("".join(f"1 rs{k} 0 {k + 1} A G\n" for k in range(_M)))
    (folder / "g.fam").write_text("".join(f"{k} HG{k:03d} 0 0 0 -9\n" for k in range(_N)))
    return folder / "g.bed"


def _scan(genotypes, table, *more):
    out = table.parent / "out.parquet"
    given = ["gwas", "--genotypes", genotypes, "--phenotypes", table, "--out", out, *more]
    result = CliRunner().invoke(app, [str(item) for item in given])
    return result, out


def test_words_ids_and_failed_formulas_give_what_clean_tables_give(genotypes, tmp_path):
    rng = np.random.default_rng(6)
    state, volume = rng.random(_N) < 0.4, rng.normal(size=_N).round(3)
    words = [["Wild-type", "WT", "wildtype"], ["Mutant", "IDH-mutant", "R132H", "mut"]]
    messy = [
        f"hg{k:03d}-T1,{words[int(s)][k % len(words[int(s)])]},{'#NAME?' if k == 3 else v}"
        for k, (s, v) in enumerate(zip(state, volume, strict=True))
    ]
    clean = [
        f"HG{k:03d},{int(s)},{'NA' if k == 3 else v}"
        for k, (s, v) in enumerate(zip(state, volume, strict=True))
    ]
    (tmp_path / "messy.csv").write_text("Subject ID,IDH status,Volume (ml)\n" + "\n".join(messy))
    (tmp_path / "clean.csv").write_text("IID,IDH status,Volume (ml)\n" + "\n".join(clean))
    for trait, model in (("IDH status", "logistic"), ("Volume (ml)", "linear")):
        found = []
        for name in ("messy", "clean"):
            with (
                pytest.warns(RadgenWarning, match="#NAME\\? in row 4")
                if name == "messy"
                else nullcontext()
            ):
                result, out = _scan(
                    genotypes, tmp_path / f"{name}.csv", "--traits", trait, "--model", model,
                    *("--id-case", "upper", "--id-first", "5"),
                )  # fmt: skip
            assert result.exit_code == 0, result.output
            found.append(pl.read_parquet(out))
            out.unlink()
        assert found[0].equals(found[1])
        assert found[0]["n"].max() == (_N if model == "logistic" else _N - 1)


def test_ids_of_another_case_are_named_with_the_remedy(genotypes, tmp_path):
    rows = "".join(f"hg{k:03d}\t{k % 7}\n" for k in range(_N))
    (tmp_path / "t.tsv").write_text("patient\ty\n" + rows)
    result, _ = _scan(genotypes, tmp_path / "t.tsv")
    assert result.exit_code != 0
    assert "differ only in upper and lower case" in str(result.exception)
    assert "--id-case" in str(result.exception)


def test_a_table_without_ids_names_its_columns(genotypes, tmp_path):
    (tmp_path / "t.tsv").write_text("volume\tgrade\n1.5\t2\n2.5\t3\n")
    result, _ = _scan(genotypes, tmp_path / "t.tsv")
    assert "no column of sample ids" in str(result.exception)
    assert "volume, grade" in str(result.exception)


@pytest.mark.parametrize("kind", ["csv.gz", "semicolon", "latin"])
def test_tables_of_other_kinds(tmp_path, kind):
    frame = pl.DataFrame({"Patient": ["007", "8é"], "y": [1.5, None], "case": [1, 0]})
    if kind == "csv.gz":
        import gzip

        path = tmp_path / "t.csv.gz"
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        mark = ";" if kind == "semicolon" else ","
        path = tmp_path / "t.csv"
        path.write_bytes(
            frame.write_csv(separator=mark).encode("latin-1" if kind == "latin" else "utf-8")
        )
    table = read_sample_table(path)
    assert table["Patient"].to_list() == ["007", "8é"]
    assert table["y"].to_list() == [1.5, None]
    assert table["case"].to_list() == [1.0, 0.0]


def test_states_in_words():
    table = pl.DataFrame(
        {
            "arm": ["Case", "control", None, "CASE"],
            "MGMT": ["methylated", "unmeth", "not tested", "M"],
            "site": ["a", "b", "c", "a"],
            "grade": [2, 3, 4, 4],
        }
    )
    coded, notes = code_states(table, table.columns, what="t.csv")
    assert coded["arm"].to_list() == [1.0, 0.0, None, 1.0]
    assert coded["MGMT"].to_list() == [1.0, 0.0, None, 1.0]
    assert coded["site"].to_list() == ["a", "b", "c", "a"]
    assert coded["grade"].to_list() == [2, 3, 4, 4]
    assert notes == (
        "arm: 1 = yes (2), 0 = no (1), missing 1.",
        "MGMT: 1 = methylated (2), 0 = unmethylated (1), missing 1.",
    )
    odd = pl.DataFrame({"IDH": ["mutant", "wt", "mutant?"]})
    with pytest.raises(FormatError, match=r"'mutant\?' \(row 3\)"):
        code_states(odd, ["IDH"], what="t.csv")


def test_the_other_genetics_commands_read_words_too(genotypes, tmp_path):
    rng = np.random.default_rng(8)
    state = rng.random(_N) < 0.4
    texts = [("mutant" if s else "wild-type") for s in state]
    rows = "".join(f"HG{k:03d}\t{word}\n" for k, word in enumerate(texts))
    (tmp_path / "t.tsv").write_text("IID\tIDH\n" + rows)
    (tmp_path / "n.tsv").write_text(
        "IID\tIDH\n" + "".join(f"HG{k:03d}\t{int(s)}\n" for k, s in enumerate(state))
    )
    (tmp_path / "sets.tsv").write_text("g\t" + " ".join(f"rs{k}" for k in range(20)) + "\n")
    found = []
    for name in ("t", "n"):
        out = tmp_path / f"{name}.parquet"
        given = ["burden", "--genotypes", genotypes, "--phenotypes", tmp_path / f"{name}.tsv"]
        given += ["--sets", tmp_path / "sets.tsv", "--model", "logistic", "--out", out]
        result = CliRunner().invoke(app, [str(item) for item in given])
        assert result.exit_code == 0, (result.output, result.exception)
        found.append(pl.read_parquet(out))
    assert found[0].equals(found[1])


def test_ids_and_free_text_are_no_states():
    table = pl.DataFrame(
        {"FID": ["0", "0", "0"], "IID": ["1", "2", "3"], "arm": ["yes", "no", "yes"],
         "note": ["n", "left", "t"]}
    )  # fmt: skip
    coded, notes = code_states(table, table.columns, what="t.csv")
    assert coded.select("FID", "IID", "note").equals(table.select("FID", "IID", "note"))
    assert coded["arm"].to_list() == [1.0, 0.0, 1.0]
    assert len(notes) == 1
