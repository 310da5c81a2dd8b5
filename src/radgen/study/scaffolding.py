"""Write a study file that fits a folder, every key explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from radgen._core.files import write_text
from radgen.errors import InputError
from radgen.io.genotypes import is_genotype_table
from radgen.io.traits import match_columns, read_lexicon
from radgen.study.look import Found, Patients, look_at
from radgen.study.look_columns import Clock, Column
from radgen.study.look_tables import Matrix

__all__ = ["Scaffold", "scaffold"]

_NO_OUTCOME = re.compile(
    r"(sex|gender|^arm$|random|treat|site|scanner|cent(er|re)|affiliation|hospital|cohort|"
    r"laterality|biops)",
    re.I,
)
_ARM = re.compile(r"(^arm$|treat|random|therapy)", re.I)
_ARMS = 2
_DISCRETISE = {
    "CT": 'discretise = { method = "width", value = 25 }   # HU',
    "": 'discretise = { method = "number", value = 32 }   # CT: { method = "width", value = 25 }',
}
_EVENT = re.compile(r"(event|died|dead|death|vital|censor)", re.I)


@dataclass(frozen=True, slots=True)
class Scaffold:
    """A study file that was written.

    Attributes
    ----------
    path : Path
        The file.
    notes : tuple of str
        What was found in the folder.
    """

    path: Path
    notes: tuple[str, ...]


def scaffold(folder: str | Path, *, force: bool = False) -> Scaffold:
    """Look at a folder and write a commented ``study.toml`` into it.

    Parameters
    ----------
    folder : str or Path
        Where the data lie: BIDS, a folder a patient, folders of images and masks, or tables.
    force : bool, default False
        Whether a study file that is there is written over.

    Returns
    -------
    Scaffold
        The file and what was found.

    Raises
    ------
    InputError
        If there is no such folder, or a study file is there and `force` is False.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"There is no folder {place}. Make it and put your data there first.")
    path = place / "study.toml"
    if path.exists() and not force:
        raise InputError(f"{path} is there already. Add --force to write over it.")
    found = look_at(place)
    write_text(path, study_text(found, place.resolve().name))
    return Scaffold(path, tuple(found.notes))


def study_text(found: Found, name: str) -> str:
    """Return the text of a study file for what was found."""
    parts = [
        "#:schema ./study.schema.json    (write it with: radgen schema --out study.schema.json)\n"
        "# Check this file:  radgen check study.toml\n"
        "# Run the study:    radgen run study.toml --out results\n",
        f'[study]\nname = {_q(name)}\nquestion = ""              # one sentence: what is asked?\n'
        "seed = 1\n",
        _phenotypes(found),
        _clinical(found),
        _response(found),
        _molecules(found),
        _analyses(found),
    ]
    return "\n".join(part for part in parts if part)


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _q(text)


def _phenotypes(found: Found) -> str:
    if found.features and not (found.image or found.sequences):
        return _feature_table(found)
    lines = [
        "# Scans and masks: a file pattern, or columns of a table with a row a scan.",
        "[images]",
    ]
    if found.scan_table:
        lines += [f"table = {_q(found.scan_table)}", f"id = {_q(found.scan_id)}"]
    if not found.sequences:
        lines.append(f"image = {_q(found.image or 'images/{id}.nii.gz')}")
    lines += [
        f"mask = {_q(found.mask or 'masks/{id}.nii.gz')}",
        f"modality = {_q(found.modality or 'MR')}   # CT, MR, PT, US or MG: please check",
        "# regions = { tumour = 1 }   # names of labels; without it every label is a region",
        '# where = { visit = ["1"] }  # rows of the table to use',
        '# date = "scan_date"         # for the rules of [link]',
    ]
    for name, image in found.sequences.items():
        lines += ["", f"[images.sequences.{_key(name)}]", f"image = {_q(image)}"]
    lines += [
        "",
        "[preprocess]",
        "# spacing_mm = [1, 1, 1]     # z, y, x; the same for all scans",
        '# normalise = "zscore"       # MR: intensities have no unit. CT and SUV: leave it out',
        _DISCRETISE.get(found.modality, _DISCRETISE[""]),
        "",
        "[features]",
        'families = ["morphology", "intensity_statistics", "glcm", "glrlm", "glszm"]',
        "spatial_autocorrelation = false   # Moran and Geary: slow for large regions",
        "",
    ]
    return "\n".join(lines)


def _feature_table(found: Found) -> str:
    lines = [
        "# Features that were extracted before. For radgen to measure scans itself, write",
        "# [images] instead.",
        "[features.table]",
        f"path = {_q(found.features)}",
    ]
    if found.feature_id:
        lines.append(f"id = {_q(found.feature_id)}")
    else:
        lines.append('# id = "ID"                # the id column: none was recognised')
    if found.no_features:
        lines.append(f"drop = [{_listed(found.no_features)}]   # columns that are no features")
    else:
        lines.append('# drop = ["label_*"]        # columns that are no features')
    visit, first = found.visit
    if found.region:
        lines.append(f"region = {_q(found.region)}   # a row for each region of a patient")
    if visit:
        lines.append(f"where = {{ {_key(visit)} = {_q(first)} }}   # the first of several visits")
        lines += [
            "",
            "# Features that do not repeat between visits are left out of analyses.",
            "[reliability]",
            f"table = [{_q(found.features)}]",
            f"repeat = {_q(visit)}",
        ]
        lines += [f"region = {_q(found.region)}"] if found.region else []
        lines += [f"drop = [{_listed(found.no_features)}]"] if found.no_features else []
    return "\n".join([*lines, ""])


def _clinical(found: Found) -> str:
    if not found.patients:
        return (
            '# The table of patients.\n# [clinical]\n# path = "clinical.csv"\n'
            '# id = "patient_id"\n# [clinical.columns]\n# age = "number"\n'
            '# sex = "category"\n'
        )
    first, *more = found.patients
    lines = [
        "# The table of patients. Each column gets a name of your choice.",
        *_patients(first, "clinical"),
        '# One value, many spellings: status = { spellings = { mutant = ["MUT", "p.R132H"] } }',
        '# Texts that mean not known: status = { missing = ["Unknown"] }',
        "",
    ]
    if not found.clocks:
        lines += [
            "# [clinical.survival.overall]",
            '# time = "days"',
            '# event = "died"             # 1 = it happened, 0 = censored',
            "",
        ]
    for table in more:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(table.path).name.split(".")[0])
        lines += ["# More of the same patients.", *_patients(table, f"clinical.more.{_key(name)}")]
    return "\n".join(lines)


def _patients(table: Patients, section: str) -> list[str]:
    lines = [
        f"[{section}]",
        f"path = {_q(table.path)}",
        f"id = {_q(table.key)}",
        '# id_rule = { strip_suffix = "-T", case = "upper", first = 12 }   # ids spelt otherwise',
        "",
        f"[{section}.columns]",
        *(_column_line(column) for column in table.columns),
        "",
    ]
    for clock in table.clocks:
        lines += [*_clock(clock, section), ""]
    return lines


def _clock(clock: Clock, section: str) -> list[str]:
    lines = [
        f"[{section}.survival.{_key(clock.name)}]   # please check that these are the columns",
        f"time = {_q(clock.time)}",
        f"event = {_q(clock.event)}",
    ]
    if not {*clock.happened, *clock.censored} <= {"0", "1", "0.0", "1.0"}:
        lines += [
            f"event_values = [{_listed(clock.happened)}]",
            f"censored_values = [{_listed(clock.censored)}]",
        ]
    return [*lines, f"unit = {_q(clock.unit)}"]


def _column_line(column: Column) -> str:
    name = _key(column.header)
    if column.kind == "number":
        return f'{name} = "number"'
    if column.kind == "binary":
        parts = ['type = "binary"', f"levels = [{_listed(column.values)}]"]
        if column.spellings:
            each = [f"{_key(one)} = [{_listed(of)}]" for one, of in column.spellings.items()]
            parts.append(f"spellings = {{ {', '.join(each)} }}")
        if column.missing:
            parts.append(f"missing = [{_listed(column.missing)}]")
        return f"{name} = {{ {', '.join(parts)} }}   # levels: [negative, positive]"
    if column.kind == "category":
        return f'{name} = "category"   # {", ".join(column.values[:6])}'
    return f'# {name} = "category"   # many different texts: leave it out, or map its spellings'


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(_q(text) for text in texts)


def _molecules(found: Found) -> str:
    lines = []
    for path in found.mafs[:1]:
        lines += [
            "[omics.mutations]",
            f"path = {_q(path)}",
            'layer = "mutation"',
            '# assayed = "sequenced.txt"  # ids that were sequenced: the others are not wild-type',
            "min_carriers = 5",
            "",
        ]
    for name, matrix in _layers(found).items():
        lines += [
            f"[omics.{name}]",
            f"path = {_q(matrix.path)}",
            f"layer = {_q(matrix.layer)}   # expression, copy_number, methylation, protein, …: "
            "please check",
            f"scale = {_q(matrix.scale or 'log2')}   # counts, log2, TPM, zscore, beta, binary: "
            "please check",
        ]
        if matrix.samples_in:
            lines.append(f"samples_in = {_q(matrix.samples_in)}")
        rule = "tcga = true" if matrix.barcodes else '# id_rule = { strip_suffix = "-T" }'
        lines += [rule, ""]
    for path in found.genotypes[:1]:
        lines += ["[genotypes]", f"path = {_q(path)}", 'build = ""   # "GRCh37" or "GRCh38"', ""]
    if not lines:
        lines = [
            "# [omics.mutations]",
            '# path = "mutations.maf"',
            '# layer = "mutation"',
            "",
        ]
    return "\n".join(lines)


def _layers(found: Found) -> dict[str, Matrix]:
    """Return the matrices under the names of their sections."""
    named: dict[str, Matrix] = {}
    for matrix in found.matrices[:6]:
        name, count = matrix.layer, 2
        while name in named:
            name, count = f"{matrix.layer}{count}", count + 1
        named[name] = matrix
    return named


def _response(found: Found) -> str:
    if not found.lesions:
        return ""
    return (
        "# Lesions at visits, judged by RECIST: makes the outcomes responder, disease_control,\n"
        "# best_response, best_change, and the survival time progression.\n"
        f'[response]\nlesions = {_q(found.lesions)}\n# criteria = "iRECIST"\n'
    )


def _outcomes(found: Found) -> list[Column]:
    """Return columns of two values that may be predicted, molecular markers first."""
    binary = [
        c
        for c in found.columns
        if c.kind == "binary" and not _EVENT.search(c.header) and not _NO_OUTCOME.search(c.header)
    ]
    headers = pl.DataFrame(schema=dict.fromkeys((c.header for c in binary), pl.String))
    markers = {name for name, _ in match_columns(headers, read_lexicon("markers"))}
    return sorted(binary, key=lambda c: (c.header not in markers, set(c.values) <= {"0", "1"}))


def _treatment(found: Found, binary: str) -> list[str]:
    """Return a block for markers of treatment, where a column looks like two arms."""
    arms = [
        column
        for column in found.columns
        if _ARM.search(column.header) and column.kind in ("category", "binary")
        if len(column.values) == _ARMS
    ]
    outcome = found.clocks[0].name if found.clocks else binary
    if not arms or not outcome:
        return []
    return [
        "# Whom does the treatment help? A marker is predictive by its interaction with treatment.",
        "# [[treatment]]",
        '# name = "Whom to treat"',
        f"# outcome = {_q(outcome)}",
        f"# arm = {_q(arms[0].header)}   # {', '.join(arms[0].values)}",
        '# phenotypes = ["*"]',
        "# covariates = []           # what treatment was chosen by, where it was not randomised",
        "",
    ]


def _analyses(found: Found) -> str:
    lines = [
        "# Rules that match scans, specimens and outcomes; each loss is counted in the report.",
        "# [link]",
        '# several_scans = "first"    # refuse, first, last, nearest, largest, mean, worst',
        "# max_days = 30              # between scan and specimen",
        "",
    ]
    sites = [
        c for c in found.columns if re.search(r"site|scanner|cent(er|re)|vendor", c.header, re.I)
    ]
    lines += (
        ["[harmonise]", f"batch = {_q(sites[0].header)}", ""]
        if sites and sites[0].kind in ("category", "binary")
        else ["# [harmonise]", '# batch = "site"', ""]
    )
    layers = [*(["mutations"] if found.mafs else []), *_layers(found)]
    for layer in layers:
        lines += ["[[associate]]", f'name = "Image features and {layer}"', f'layer = "{layer}"', ""]
    if found.genotypes:
        few = is_genotype_table(found.genotypes[0])
        name = "Variants and image features" if few else "Genome-wide scan of image features"
        lines += ["[[gwas]]", f"name = {_q(name)}", 'phenotypes = ["*"]',
                  f"principal_components = {0 if few else 10}", ""]  # fmt: skip
    binary = _outcomes(found)
    for column in binary[:1]:
        lines += [
            "[[predict]]",
            f"name = {_q(f'{column.header} from images')}",
            f"outcome = {_q(column.header)}",
            "",
        ]
    if len(binary) > 1:
        others = ", ".join(_q(column.header) for column in binary[1:9])
        lines += [f"# Other outcomes of two values: {others}", ""]
    for clock in found.clocks[:1]:
        lines += ["[[predict]]", f"name = {_q(f'{clock.event} from images')}",
                  f"outcome = {_q(clock.name)}", ""]  # fmt: skip
    lines += _treatment(found, binary[0].header if binary else "")
    return "\n".join(lines)
