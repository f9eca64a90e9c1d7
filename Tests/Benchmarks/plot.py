#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the figures of a benchmark as SVG, with matplotlib.

  plot.py FIGURES DRAWING      the same figures make the same drawing, byte for byte

FIGURES is a text of lines. `title: ...` begins a panel, `x: ...` and `y: ...` name its axes, `steps:` puts the values of the
horizontal axis at equal distances, `series: ...` begins a line, and `X Y`, two numbers from 0 on, are its next point. Empty
lines and lines that begin with # are ignored.
"""

import math
import sys

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

# Can be distinguished on white and on black, and also by readers who see red as green (Okabe and Ito).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
GREY = "#808080"


class Panel:
    """A pair of axes."""

    def __init__(self, title):
        self.title = title
        self.x = self.y = ""
        self.has_steps = False
        self.series = []


def read(lines):
    """Returns the panels that the lines describe. Ends the program at a line that is not expected where it is."""
    panels = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, separator, text = line.partition(":")
        text = text.strip()
        if separator and name == "title":
            panels.append(Panel(text))
        elif separator and panels and name in ("x", "y"):
            setattr(panels[-1], name, text)
        elif separator and panels and name == "steps" and not text:
            panels[-1].has_steps = True
        elif separator and panels and name == "series" and len(panels[-1].series) < len(COLOURS):
            panels[-1].series.append((text, []))
        elif panels and panels[-1].series and (numbers := point(line)):
            panels[-1].series[-1][1].append(numbers)
        else:
            raise SystemExit(
                f"plot.py: line {number}, {line!r}, is not expected there; write title:, x:, y:, steps:, series: (at most "
                f"{len(COLOURS)}), then points as two numbers from 0 on")
    if not panels:
        raise SystemExit("plot.py: there is nothing to draw; begin with a line title:")
    return panels


def point(line):
    try:
        numbers = tuple(float(word) for word in line.split())
    except ValueError:
        return None
    return numbers if len(numbers) == 2 and all(math.isfinite(n) and n >= 0 for n in numbers) else None


def draw(panel, axes):
    # The legend is between title and axes, in two columns.
    axes.set_title(panel.title, loc="left", pad=10 + 16 * math.ceil(len(panel.series) / 2))
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    values = sorted({x for _, points in panel.series for x, _ in points})
    for (name, points), colour in zip(panel.series, COLOURS):
        places = [values.index(x) if panel.has_steps else x for x, _ in points]
        axes.plot(places, [y for _, y in points], marker="o", markersize=4, linewidth=2, color=colour, label=name)
    if panel.has_steps:
        axes.set_xticks(range(len(values)), [f"{value:,g}" for value in values])
        axes.margins(x=0.1)
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.02), borderaxespad=0, ncols=2, frameon=False)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        panels = read(file)
    # Grey text without a background is readable on light and dark pages; text stays text, in the reader's font.
    matplotlib.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "conductor-notification-relay", "font.family": "sans-serif", "font.size": 10,
        "text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY,
        "grid.color": GREY,
    })
    figure = Figure(figsize=(7.5, 4 * len(panels)), layout="constrained")
    for panel, axes in zip(panels, figure.subplots(len(panels), squeeze=False)[:, 0]):
        draw(panel, axes)
    figure.savefig(sys.argv[2], format="svg", transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
