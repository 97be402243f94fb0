"""What all pictures share: matplotlib, one size, colours, and files that are whole.

matplotlib is imported when a picture is made. It draws without a screen (Agg) and without
``pyplot``, whose global state would keep every figure alive and change the caller's.
"""

import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2vjax.errors import SettingError
from w2vjax.files import AnyPath, as_path, atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, INK = "#2563a8", "#c2540a", "#8a8f98", "#1c1e21"
# The colours of several curves or analogies in one picture.
COLORS = (BLUE, ORANGE, *"#2f7d4f #7b4ba3 #a8324a #4a7c8c #8a6d1f #555b66".split())
DPI = 100  # 12 inches make 1200 px
SUFFIXES = (".png", ".svg")
_NOT_DRAWN = re.compile("[\0-\t\v-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# matplotlib's own font, then fonts for the scripts that it lacks. Missing ones are left out.
_FONTS = (
    "DejaVu Sans|Noto Sans CJK SC|Noto Sans CJK JP|WenQuanYi Zen Hei|Noto Sans Devanagari|"
    "Noto Sans Arabic|Noto Sans Thai|Arial Unicode MS|Microsoft YaHei|PingFang SC"
).split("|")


def new_figure(width: float = 12.0, height: float = 8.0) -> "Figure":
    """An empty figure of ``width`` x ``height`` inches.

    Raises:
        SettingError: matplotlib is not installed, or has no backend MPLBACKEND.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        said = "Pictures need matplotlib: pip install 'w2vjax[plot]' and run this again."
        raise SettingError(said) from error
    except ValueError as error:
        backend = os.environ.get("MPLBACKEND", "")
        if repr(backend) not in str(error):
            raise
        cause = f"MPLBACKEND={backend!r:.60} cannot work: matplotlib has no such backend"
        raise SettingError(f"{cause}. Unset it, or set it to agg.") from error
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def fonts() -> list[str]:
    """The installed fonts for words, in the order in which they are tried for a character."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [font for font in _FONTS if font in installed]


def drawable(text: str) -> str:
    r"""The text with what XML or UTF-8 cannot hold escaped, and other control characters.

    Such are halves of surrogate pairs, for bytes in the name of a file. A line may end.

    >>> print(drawable("two\nlines and a bell\a"))
    two
    lines and a bell\x07
    """
    return _NOT_DRAWN.sub(lambda found: repr(found[0])[1:-1], text)


def check_suffix(path: AnyPath | None) -> None:
    """Refuse a path that is neither PNG nor SVG before any work is done."""
    if path is not None and as_path(path).suffix.lower() not in SUFFIXES:
        cause = f"{path}: pictures are written as PNG or SVG"
        raise SettingError(f"{cause}. End the name in .png or .svg.")


def save_figure(figure: "Figure", path: AnyPath | None) -> "Figure":
    """Write a figure as PNG or SVG, the same bytes each time; ``None`` writes nothing.

    Characters that no installed font has are drawn as boxes. One warning names them.
    """
    if path is None:
        return figure
    import matplotlib

    form = Path(path).suffix.lower()[1:]
    # With a date and random ids, two files of the same picture would differ.
    metadata: dict[str, Any] = {"Date": None} if form == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with without_glyph_warnings(), matplotlib.rc_context({"svg.hashsalt": "w2vjax"}):
        figure.savefig(buffer, format=form, metadata=metadata)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())
    if missing := _missing_characters(figure):
        shown = " ".join(f"U+{ord(character):04X}" for character in missing[:3])
        warnings.warn(
            f"No installed font has {len(missing)} of the characters "
            f"({shown}{' ...' if missing[3:] else ''}); they are drawn as boxes. Install a font "
            "that has them, such as Noto Sans CJK.",
            stacklevel=3,
        )
    return figure


def _missing_characters(figure: "Figure") -> list[str]:
    """The characters in a figure that none of :func:`fonts` has, in order."""
    from matplotlib.font_manager import fontManager, get_font
    from matplotlib.text import Text

    characters = {character for text in figure.findobj(Text) for character in text.get_text()}
    for font in fonts():
        characters -= set(map(chr, get_font(fontManager.findfont(font)).get_charmap()))
    return sorted(character for character in characters if not character.isspace())


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """No warning of matplotlib for each drawn character: :func:`save_figure` gives one for all."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
