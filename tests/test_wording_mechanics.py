"""Names of features as a reader says them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from radgen.types import Result
from radgen.types.wording import feature_phrase, plain_wording


def test_phrases_tell_features_of_one_name_apart() -> None:
    names = [
        f"tumour|{image}|{family}|Grey level non-uniformity|{code}"
        for image in ("original", "log-3mm")
        for family in ("glrlm", "glszm", "gldzm", "ngldm")
        for code in ("ITBB", "IAZD")
    ]
    assert len({feature_phrase(name) for name in names}) == len(names)


def test_other_names_stay() -> None:
    for name in ("original_glcm_Contrast", "volume", "a|b", "a|b|c|d|e|f"):
        assert feature_phrase(name) == name


def test_of_two_names_the_longer_is_taken() -> None:
    table = pl.DataFrame(
        {"phenotype": ["t|original|glcm|Contrast", "t|original|glcm|Contrast|IAZD"]}
    )
    texts = ("t|original|glcm|Contrast|IAZD is lower.", "t|original|glcm|Contrast is higher.")
    assert plain_wording(texts, [table]) == (
        "Contrast of t (GLCM, IAZD) is lower.",
        "Contrast of t (GLCM) is higher.",
    )


def test_findings_keep_the_tables_as_they_are() -> None:
    @dataclass(frozen=True, eq=False)
    class Found(Result):
        def statements(self) -> tuple[str, ...]:
            return (f"{self.frame['trait'][0]} rises.",)

    found = Found(pl.DataFrame({"trait": ["m|original|morphology|Volume"], "n": [3]}), {}, 3)
    assert found.statements() == ("m|original|morphology|Volume rises.",)
    assert found.findings() == ("Volume of m rises.",)
    assert found.table["trait"][0] == "m|original|morphology|Volume"
