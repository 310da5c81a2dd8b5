"""Phenotype and covariate tables as genetics tools write them."""

from __future__ import annotations

import polars as pl
import pytest

from radgen.errors import FormatError, InputError
from radgen.io.sample_table import read_sample_table


@pytest.mark.parametrize("mark", [" ", "\t", ",", "   "])
def test_ids_stay_text_and_numbers_become_numbers(tmp_path, mark):
    lines = [("#FID", "IID", "y", "site"), ("0", "007", "1.5", "a"), ("0", "8", "NA", "b")]
    path = tmp_path / "t.txt"
    path.write_text("".join(mark.join(line) + "\n" for line in lines))
    table = read_sample_table(path)
    assert table.columns == ["FID", "IID", "y", "site"]
    assert table["IID"].to_list() == ["007", "8"]
    assert table["y"].to_list() == [1.5, None]
    assert table["site"].dtype == pl.String


def test_bad_tables_are_refused(tmp_path):
    path = tmp_path / "t.txt"
    with pytest.raises(FormatError, match="does not exist"):
        read_sample_table(path)
    path.write_text("")
    with pytest.raises(FormatError, match="header"):
        read_sample_table(path)
    path.write_text("IID y\na 1\nb 2 3\n")
    with pytest.raises(FormatError, match="fields") as caught:
        read_sample_table(path)
    assert caught.value.line == 3
    path.write_text("IID\ty\na\t1\nb\t2\t3\n")
    with pytest.raises(FormatError, match="fields") as caught:
        read_sample_table(path)
    assert caught.value.line == 3
    path.write_text("IID,#IID\na,1\n")
    with pytest.raises(InputError, match="same name"):
        read_sample_table(path)
