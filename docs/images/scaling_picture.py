"""Draws the picture of docs/distributed.md for benches/scaling.py."""

import math

from drawing import Drawing

# Lines of machines and links.
STYLE = """.l0,.l1,.l2,.l3{stroke-width:2}.l0{stroke:#0969da}.l1{stroke:#bc4c00}.l2{stroke:#1a7f37}.l3{stroke:#8250df}
.dashed{stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){.l0{stroke:#58a6ff}.l1{stroke:#f0883e}.l2{stroke:#3fb950}.l3{stroke:#bc8cff}}"""


def draw(networks, machines, checked, predicted):
    """The picture as SVG, of rows of docs/performance/scaling-checked.json, and predictions like those of
    scaling-predicted.json for more numbers of ranks."""
    drawing = Drawing(840, 680, "Training by several ranks: a model and what it predicts", STYLE)
    speeds = sorted({row[2] for row in predicted})
    lines = [(machine, speed) for machine in machines for speed in speeds]
    draw_checked(drawing, networks, checked, 60, 76, 320, 230)
    for at, network in enumerate(networks):
        own = [row for row in predicted if row[0] == network]
        draw_efficiency(drawing, network, lines, own, 60 + 400 * at, 410, 330, 190)
    draw_legend(drawing, networks, lines, 470, 90)
    return drawing.svg()


def draw_checked(drawing, networks, rows, left, top, width, height):
    """Both on scales of powers of ten, from 0.2 s to 20 s."""
    drawing.text(left, top - 12, "seconds of a step on this machine", "strong")
    place = lambda milliseconds: (math.log10(milliseconds / 1e3) - math.log10(0.2)) / 2
    x = lambda milliseconds: left + width * place(milliseconds)
    y = lambda milliseconds: top + height * (1 - place(milliseconds))
    for seconds in (0.2, 0.5, 1, 2, 5, 10, 20):
        drawing.line(left, y(1e3 * seconds), left + width, y(1e3 * seconds), "grid")
        drawing.line(x(1e3 * seconds), top, x(1e3 * seconds), top + height, "grid")
        drawing.text(left - 8, y(1e3 * seconds) + 4, f"{seconds:g}", "end note")
        drawing.text(x(1e3 * seconds), top + height + 18, f"{seconds:g}", "middle note")
    drawing.line(left, top + height, left + width, top, "axis")
    for row in rows:
        drawing.circle(x(row[8]), y(row[7]), 3.5, f"f{networks.index(row[0])}")
    drawing.text(left + 8, top + 16, "measured", "note")
    drawing.text(left + width - 6, top + height - 8, "predicted", "note end")


def draw_efficiency(drawing, network, lines, rows, left, top, width, height):
    drawing.text(left, top - 12, f"{network}: efficiency, %", "strong")
    x = lambda ranks: left + width * math.log2(ranks) / 8
    y = lambda share: top + height * (1 - share / 100)
    for share in range(0, 101, 25):
        drawing.line(left, y(share), left + width, y(share), "axis" if share == 0 else "grid")
        drawing.text(left - 8, y(share) + 4, str(share), "end note")
    for ranks in (1, 4, 16, 64, 256):
        drawing.text(x(ranks), top + height + 18, str(ranks), "middle note")
    drawing.text(left + width, top + height + 36, "ranks", "end note")
    for at, (machine, gigabits) in enumerate(lines):
        points = [(row[3], row[6], row[7]) for row in rows if row[1] == machine and row[2] == gigabits]
        for column, dashed in ((1, False), (2, True)):
            for one, other in zip(points, points[1:]):
                drawing.line(x(one[0]), y(one[column]), x(other[0]), y(other[column]), f"l{at}{' dashed' if dashed else ''}")


def draw_legend(drawing, networks, lines, left, top):
    for at, network in enumerate(networks):
        drawing.circle(left + 12, top - 4 + 22 * at, 4, f"f{at}")
        drawing.text(left + 34, top + 22 * at, f"{network}, measured by predicted")
    for at, (machine, gigabits) in enumerate(lines):
        y = top + 66 + 22 * at
        drawing.line(left, y - 4, left + 24, y - 4, f"l{at}")
        drawing.text(left + 34, y, f"{machine}; {gigabits} Gb/s")
    y = top + 66 + 22 * len(lines)
    drawing.line(left, y - 4, left + 24, y - 4, "l0 dashed")
    drawing.text(left + 34, y, "without overlap of sums and computing")
