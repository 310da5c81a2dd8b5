"""Draw a figure to SVG text that is the same on every run and can stand in a page."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass

from radgen.plot import style
from radgen.report.blocks import Figure

__all__ = ["Drawing", "draw"]

_FONTS = ("DejaVu Sans", "Bitstream Vera Sans", "Verdana", "sans-serif")
_INKS = {
    style.INK: f"var(--ink,{style.INK})",
    style.MUTED: f"var(--muted,{style.MUTED})",
    style.GRID: f"var(--grid,{style.GRID})",
    style.PAPER: f"var(--paper,{style.PAPER})",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn figure: `page` for the report, `file` as a stand-alone SVG file."""

    page: str
    file: str
    width_px: int


def draw(figure: Figure, name: str) -> Drawing:
    """Return a figure as SVG.

    Parameters
    ----------
    figure : Figure
        What to draw.
    name : str
        Prefix of all ids within the drawing, so that many drawings share one page.

    Returns
    -------
    Drawing
        The same bytes for the same input: fixed id salt, no date.
    """
    import matplotlib

    settings = {
        "svg.hashsalt": "radgen",
        "svg.fonttype": "none",
        "svg.image_inline": True,
        "text.parse_math": False,
        "font.family": list(_FONTS[:1]),
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        ax = style.axes(*figure.size)
        figure.draw(ax)
        if ax.child_axes:  # what stands outside the Axes settles in a second pass
            ax.figure.get_layout_engine().execute(ax.figure)
        buffer = io.StringIO()
        ax.figure.savefig(
            buffer,
            format="svg",
            dpi=150,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    return Drawing(_for_page(text, name), text, round(figure.size[0] * 96))


def _for_page(text: str, name: str) -> str:
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'(?<=[ "])id="([^"<>]*)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(xlink:href|href)="#([^"<>]*)"', rf'\1="#{name}-\2"', body)
    body = re.sub(r"url\(#([^)<>]*)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", body, count=1)
    body = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", body, count=1)
    body = body.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    return re.sub(r'style="[^"<>]*"', _themed, body)


def _themed(found: re.Match[str]) -> str:
    text = found.group(0)
    for ink, themed in _INKS.items():
        text = text.replace(ink, themed)
    return text.replace("'DejaVu Sans'", ", ".join(f"'{font}'" for font in _FONTS[:3]))
