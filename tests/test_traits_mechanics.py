"""Traits that radiologists read: lexicons, spellings, readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import AlignmentError, FormatError, InputError
from radgen.io import read_lexicon, read_traits
from radgen.io.traits import LEXICONS


@pytest.mark.parametrize("name", LEXICONS)
def test_lexicons_are_whole(name: str) -> None:
    lexicon = read_lexicon(name)
    assert lexicon.source
    assert len({trait.id for trait in lexicon.traits}) == len(lexicon.traits) >= 10
    for trait in lexicon.traits:
        assert len(trait.known) >= 2
        assert len({level.code for level in trait.levels}) == len(trait.levels)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


FORM = """Patient,Reader,F1 Tumour Location,F5 proportion enhancing,f8,F15,F10 T1/FLAIR Ratio,age
P1,A,frontal,6-33%,no,2,expansive,50
P1,B,1,4,Yes,no,Expansive (T1~FLAIR),50
P2,A,Temporal,5,2,yes,infiltrative,60
P2,B,temporal,34-67%,yes,3,mixed,60
P3,A,moon,1,yes,1,,70
P3,B,,<5%,yes,n/a,mixed,70
"""


def test_codes_labels_and_spellings_mean_the_same(tmp_path: Path) -> None:
    read = read_traits(_write(tmp_path / "form.csv", FORM), "vasari", reader="Reader")
    table = read.phenotypes
    column = {name: table.values[:, j] for j, name in enumerate(table.names)}
    np.testing.assert_array_equal(column["f5"], [4, 5, 3])
    np.testing.assert_array_equal(column["f8"], [np.nan, 1, 1])
    np.testing.assert_array_equal(column["f15"], [0, 1, np.nan])
    np.testing.assert_array_equal(column["f1=temporal"], [0, 1, np.nan])
    np.testing.assert_array_equal(column["f10"], [1, 2.5, 2])
    assert read.types["f5"] == "ordinal"
    assert read.types["f1=frontal"] == "binary"
    reasons = {(r["sample"], r["phenotype"]): r["reason"] for r in table.status.to_dicts()}
    assert reasons["P1", "f8"] == "the readers tie"
    assert reasons["P3", "f1=frontal"] == "moon is not in the lexicon"
    assert any("'moon' (1 times)" in note for note in read.notes)
    assert any("age" in note for note in read.notes)
    row = {r["trait"]: r for r in read.agreement.iter_rows(named=True)}
    assert row["proportion enhancing"]["agreed"] == 1
    assert row["cysts"]["agreed"] == pytest.approx(2 / 3)
    assert row["T1/FLAIR ratio"]["n"] == 2


def test_agreement_is_cohens_kappa(tmp_path: Path) -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(1)
    one, two = rng.integers(1, 4, 40), rng.integers(1, 4, 40)
    two[:25] = one[:25]
    lines = ["id,who,enhancement quality,cysts"]
    for who, codes in (("A", one), ("B", two)):
        lines += [f"p{k},{who},{code},{1 + (code > 1)}" for k, code in enumerate(codes)]
    path = _write(tmp_path / "two.csv", "\n".join(lines))
    found = {r["trait"]: r for r in read_traits(path, "vasari", reader="who").agreement.to_dicts()}
    assert found["enhancement quality"]["kappa"] == pytest.approx(
        cohen_kappa_score(one, two, weights="linear")
    )
    assert found["cysts"]["kappa"] == pytest.approx(cohen_kappa_score(one > 1, two > 1))


def test_several_values_in_a_cell(tmp_path: Path) -> None:
    text = "id,Nodule Internal Features\na,reticulation|necrosis\nb,\nc,cavitated;what\n"
    table = read_traits(_write(tmp_path / "aim.csv", text), "lung").phenotypes
    place = {name: j for j, name in enumerate(table.names)}
    np.testing.assert_array_equal(table.values[:, place["internal=necrosis"]], [1, 0, np.nan])
    np.testing.assert_array_equal(table.values[:, place["internal=cavitated"]], [0, 0, np.nan])


def test_real_forms_are_read(data: Callable[[str], Path]) -> None:
    read = read_traits(data("tcga_glioma") / "gbm_vasari_20.csv", "vasari")
    assert read.phenotypes.n_samples == 20
    assert {"f5", "f6", "f7", "f10", "f14", "f9=focal"} <= set(read.phenotypes.names)
    assert np.isfinite(read.phenotypes.values).mean() > 0.99
    lung = read_traits(data("nsclc_radiogenomics") / "semantic_aim.csv", "lung")
    place = lung.phenotypes.names.index("emphysema")
    assert np.nansum(lung.phenotypes.values[:, place]) == 86 + 12  # plain words and RadLex codes


def test_wrong_forms_are_explained(tmp_path: Path) -> None:
    form = _write(tmp_path / "form.csv", FORM)
    with pytest.raises(AlignmentError, match="reader="):
        read_traits(form, "vasari")
    with pytest.raises(InputError, match="Did you mean 'Reader'"):
        read_traits(form, "vasari", reader="Readr")
    with pytest.raises(InputError, match="no column is a trait"):
        read_traits(form, "renal", reader="Reader")
    with pytest.raises(InputError, match="Did you mean 'vasari'"):
        read_lexicon("vassari")
    for text, words in (
        ("name = 1", "no lexicon"),
        ('name="x"\n[[trait]]\nid="a"\nname="A"\nkind="odd"\nlevels=[]', "kind is one of"),
        ('name="x"\n[[trait]]\nid="a"\nname="A"\nkind="binary"\nlevels=[{code=0,label="n"}]',
         "two levels"),
        ('name="x"\n[[trait]]\nid="a"\nname="A"\nkind="binary"\n'
         'levels=[{code=0,label="n"},{code=1,label="N"}]', "stands for two"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=words):
            read_lexicon(_write(tmp_path / "bad.toml", text))
    with pytest.raises(FormatError, match="no such file"):
        read_lexicon(tmp_path / "gone.toml")


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    text = (
        'name = "mine"\n[[trait]]\nid = "halo"\nname = "halo sign"\nkind = "binary"\n'
        'levels = [{ code = 0, label = "no" }, { code = 1, label = "yes" }]\n'
    )
    path = _write(tmp_path / "mine.toml", text)
    form = _write(tmp_path / "f.csv", "id,Halo Sign\na,yes\nb,0\n")
    table = read_traits(form, path).phenotypes
    np.testing.assert_array_equal(table.values[:, 0], [1, 0])
    assert table.specs["family"].to_list() == ["halo sign"]
    assert isinstance(table.specs, pl.DataFrame)
