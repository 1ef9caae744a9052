"""The pictures of the document, as SVG."""

from collections.abc import Mapping
from pathlib import Path

import pygal
from pygal.style import CleanStyle

from bench.figures import Spread

_STYLE = CleanStyle(
    background="white",
    plot_background="white",
    font_family="sans-serif",
    colors=("#3b6fb6", "#b8860b", "#777777"),
    value_font_size=13,
    value_colors=("white",),
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=13,
    title_font_size=16,
)
_WIDTH = 800


def bars(file: Path, title: str, values: Mapping[str, Spread], shown: str) -> None:
    """A bar for each value, from the top, with its spread."""
    chart = pygal.HorizontalBar(
        style=_STYLE, title=title, width=_WIDTH, height=100 + 45 * len(values), explicit_size=True,
        show_legend=False, print_values=True, formatter=lambda value: format(value, shown), js=[],
    )  # fmt: skip
    from_below = dict(reversed(list(values.items())))
    chart.x_labels = list(from_below)
    chart.add(
        "",
        [{"value": value.median, "ci": {"low": value.low, "high": value.high}} for value in from_below.values()],
    )
    chart.render_to_file(str(file))


def lines(
    file: Path, title: str, series: Mapping[str, Mapping[float, float]], *, x_title: str, y_title: str
) -> None:
    """A line for each series of points."""
    chart = pygal.XY(
        style=_STYLE, title=title, width=_WIDTH, height=400, explicit_size=True, legend_at_bottom=True,
        x_title=x_title, y_title=y_title, js=[],
    )  # fmt: skip
    for name, points in series.items():
        chart.add(name, list(points.items()))
    chart.render_to_file(str(file))
