"""Each kind of picture is one call from a result, and one command from its table."""

from __future__ import annotations

import gzip
import io

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import (
    aspu,
    gwas,
    lesion_atlas,
    map_lesions,
    max_t_scan,
    meta_gwas,
    mostest,
    omnibus,
    voxel_test,
    voxelwise,
)
from radgen.associate.genomewide.plot import draw, lead_rows
from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.io import read_genes
from radgen.report.associations import render_gwas
from radgen.types import (
    ArrayDosages,
    GenotypeMatrix,
    Geometry,
    ImageStack,
    ImageVolume,
    SurfaceSpace,
    VoxelSpace,
)

GTF = (
    'chr1\tsrc\tgene\t100\t900\t.\t+\t.\tgene_id "E1"; gene_name "ABC1";\n'
    'chr1\tsrc\texon\t100\t200\t.\t+\t.\tgene_id "E1";\n'
    'chr2\tsrc\tgene\t5000\t9000\t.\t-\t.\tgene_id "E2";\n'
)


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(4)
    n, m = 120, 240
    calls = rng.binomial(2, 0.3, (m, n)).astype(np.float32)
    calls[11] = calls[10]
    names = tuple(f"s{i}" for i in range(n))
    variants = pl.DataFrame(
        {"chrom": ["1"] * 120 + ["2"] * 120, "pos": [50 * i + 1 for i in range(120)] * 2}
        | {"id": [f"v{i}" for i in range(m)], "ref": ["A"] * m, "alt": ["C"] * m}
    )
    y = rng.normal(size=(n, 4))
    y[:, :2] += 1.5 * calls[[10]].T
    table = pl.DataFrame({"sample": names} | {f"y{j}": y[:, j] for j in range(4)})
    return GenotypeMatrix(names, variants, ArrayDosages(calls)), table


def svg(ax):
    stream = io.StringIO()
    ax.figure.savefig(stream, format="svg")
    return stream.getvalue()


def test_every_kind_is_one_call(cohort, tmp_path):
    genotypes, table = cohort
    (tmp_path / "genes.gtf").write_text(GTF)
    found = gwas(genotypes, table)
    for kind in found.plots:
        options = {"traits": ["y0", "y1"]} if kind == "miami" else {}
        assert "<svg" in svg(found.plot(kind, **options))
    text = svg(found.plot("manhattan", genes=tmp_path / "genes.gtf"))
    assert "ABC1" in text
    assert "v10" not in text
    kept = found.with_genes(read_genes(tmp_path / "genes.gtf"))
    assert "ABC1" in svg(kept.plot("manhattan"))
    assert "ABC1" not in svg(found.with_genes(None).plot("manhattan"))
    kept.plot("qq")
    drawn = io.StringIO()
    for block in render_gwas(kept):
        if getattr(block, "title", "").startswith("Manhattan plot: y0"):
            block.draw(None).figure.savefig(drawn, format="svg")
    assert "ABC1" in drawn.getvalue()
    near = found.plot("regional", lead="v10", genotypes=genotypes, genes=tmp_path / "genes.gtf")
    colours = next(item.get_array() for item in near.collections if item.get_array() is not None)
    assert colours.max() == pytest.approx(1.0)  # v11 is its twin
    with pytest.raises(InputError, match="No plot"):
        found.plot("mannhattan")
    with pytest.raises(InputError, match="no option"):
        found.plot("qq", trait="y0")
    with pytest.raises(InputError, match="No trait"):
        found.plot("manhattan", traits=["y9"])
    with pytest.raises(InputError, match="two traits"):
        found.plot("miami", traits=["y0"])
    with pytest.raises(InputError, match="variant 'v999'"):
        found.plot("regional", lead="v999")


def test_other_results_draw_themselves(cohort):
    genotypes, table = cohort
    scan = gwas(genotypes, table).frame
    results = [
        mostest(genotypes, table, seed=1),
        omnibus(genotypes, table),
        max_t_scan(genotypes, table, seed=1, n_permutations=20, threshold=0.5),
        aspu(genotypes, table, seed=1, n_permutations=20, max_permutations=20),
        meta_gwas({"a": scan, "b": scan}),
    ]
    for result in results:
        for kind in result.plots:
            options = {"traits": ["y0", "y1"]} if kind == "miami" else {}
            assert "<svg" in svg(result.plot(kind, **options)), (result.kind, kind)
        with pytest.raises(InputError, match="no plot"):
            result.plot("pie")


def test_maps_are_drawn_over_anatomy_and_meshes(cohort, tmp_path):
    genotypes, _ = cohort
    rng = np.random.default_rng(1)
    shape = (6, 5, 4)
    grid = Geometry.from_spacing(shape, (3, 2, 2))
    values = rng.normal(size=(120, 120)).astype(np.float32)
    stack = ImageStack(genotypes.samples, values, VoxelSpace(grid, np.arange(120)))
    few = genotypes.take_variants(range(30))
    scan = voxelwise(stack, few, threshold=0.01)
    for kind in scan.plots:
        assert "<svg" in svg(scan.plot(kind))
    behind = ImageVolume(rng.random(shape), grid)
    maps = voxel_test(stack, few, seed=1, names=["v3"], n_permutations=0)
    assert "v3" in svg(maps.plot("map", background=behind, threshold=1.0, plane="coronal"))
    with pytest.raises(InputError, match="No map"):
        maps.plot("map", what="q")
    masks = ImageStack(genotypes.samples, (values > 0.8).astype(np.float32), stack.space)
    state = {"sample": genotypes.samples, "mut": (np.arange(120) < 50).astype(int)}
    assert "mut" in svg(map_lesions(masks, state, seed=1, n_permutations=0).plot("map"))
    assert "frequency" in svg(lesion_atlas(masks).plot("map"))
    points = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    import nibabel

    nibabel.freesurfer.write_geometry(str(tmp_path / "lh.white"), points, faces)
    surface = ImageStack(genotypes.samples, values[:, :4].copy(), SurfaceSpace(4, np.arange(4)))
    bare = voxel_test(surface, few, seed=1, names=["v3"], n_permutations=0)
    assert "<svg" in svg(bare.plot("map", surface=tmp_path / "lh.white"))
    with pytest.raises(InputError, match="mesh"):
        bare.plot("map")


def test_leads_are_apart_and_strongest_first():
    frame = pl.DataFrame(
        {"chrom": ["1", "1", "1", "2", "2"], "pos": [100, 200, 900_000, 100, 150]}
        | {"log10p": [-9.0, -12.0, -8.0, -20.0, -3.0]}
    )
    assert lead_rows(frame, 5e-8) == [3, 1, 2]
    assert lead_rows(frame, 1e-30) == []


def test_genes_of_gtf_gff_and_bed(tmp_path):
    (tmp_path / "a.gtf.gz").write_bytes(gzip.compress(GTF.encode()))
    found = read_genes(tmp_path / "a.gtf.gz")
    assert found.rows() == [("1", 100, 900, "ABC1", "+"), ("2", 5000, 9000, "E2", "-")]
    (tmp_path / "a.gff3").write_text(
        "##gff-version 3\n1\tx\tgene\t7\t9\t.\t-\t.\tID=gene:E1;Name=ABC1\n"
    )
    assert read_genes(tmp_path / "a.gff3").rows() == [("1", 7, 9, "ABC1", "-")]
    (tmp_path / "a.bed").write_text("track name=x\nchr3 9 20 XYZ\n")
    assert read_genes(tmp_path / "a.bed").rows() == [("3", 10, 20, "XYZ", ".")]
    (tmp_path / "b.gtf").write_text("1\tx\tgene\tseven\n")
    with pytest.raises(FormatError, match=":1"):
        read_genes(tmp_path / "b.gtf")
    (tmp_path / "c.bed").write_text("#\n")
    with pytest.raises(FormatError, match="no gene"):
        read_genes(tmp_path / "c.bed")


@pytest.mark.parametrize("kind", ["manhattan", "stacked", "regional", "qq"])
def test_a_picture_is_one_command_from_the_table(cohort, tmp_path, kind):
    genotypes, table = cohort
    gwas(genotypes, table).table.write_parquet(tmp_path / "scan.parquet")
    (tmp_path / "genes.gtf").write_text(GTF)
    picture = tmp_path / "figures" / f"{kind}.png"
    extra = ["--genes", str(tmp_path / "genes.gtf")] if kind in ("manhattan", "regional") else []
    result = CliRunner().invoke(
        app, ["plot", kind, str(tmp_path / "scan.parquet"), "--out", str(picture), *extra],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_traits_on_one_qq_plot_are_all_in_sight():
    low, high = np.log10(np.linspace(0.001, 1, 500)), -np.geomspace(0.01, 30, 500)
    frame = pl.DataFrame(
        {"phenotype": ["a"] * 500 + ["b"] * 500, "log10p": np.r_[low, high]}
    ).with_columns(chrom=pl.lit("1"), pos=1, id=pl.lit("v"))
    ax = draw("qq", frame)
    assert ax.get_ylim()[1] > 30
