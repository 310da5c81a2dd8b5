"""What all sections of a study file share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Labels", "PhenotypeSection", "RankedSection", "Section", "Texts"]


class Section(BaseModel):
    """A table of the study file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=False,
        protected_namespaces=(),
    )


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_listed)]
"""A list of text; a single text stands for a list of one."""

Labels = dict[str, int | list[int]]
"""Names of the labels of a mask: one label a region, or several together."""


class PhenotypeSection(Section):
    """An analysis of phenotypes: which versions of them it sees."""

    harmonised: bool = Field(
        default=True, description="Use the harmonised phenotypes, where there are any."
    )
    reliable: bool = Field(
        default=True, description="Use phenotypes that [reliability] keeps alone, where set."
    )


class RankedSection(PhenotypeSection):
    """An analysis that may see phenotypes as normal scores."""

    transform: Literal["none", "rank"] = Field(
        default="rank", description="rank: phenotypes become normal scores first."
    )
