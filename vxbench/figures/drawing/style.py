"""Defines the look of all figures: ink, sizes, colours told apart by everybody, and lines told apart without colour.

COLOURS are Okabe and Ito's (2008), in an order in which neighbours differ in lightness too; LINES are dash patterns in
points. `line(i)` pairs them so that the first 21 lines differ, and any two of one colour differ in their dashes.
"""

from matplotlib.axes import Axes

INK, FAINT, HAIR = "#222222", "#777777", "#d4d4d4"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
LINES = ("-", (0, (5, 2)), (0, (1, 1.4)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 120
TITLE_SIZE, NAME_SIZE, SMALL_SIZE, FOOT_SIZE = 12, 9.5, 8, 7
PLAIN = {"parse_math": False}  # a $ in a name is a $


def line(index: int) -> dict:
    """Keywords of the index-th line of a plot: colour, dashes and marker."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[(index + index // len(COLOURS)) % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def bare_axes(axes: Axes) -> None:
    """Leaves a plot with a faint grid, small ticks, and no frame above and on the right."""
    axes.grid(color=HAIR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL_SIZE, color=FAINT, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
