"""Tables of figures for the terminal."""

from __future__ import annotations

import math
from typing import Any


def figures_table(report: dict[str, Any]) -> str:
    """The figures in two columns, then one line for each keypoint."""
    lines = [f"note: {note}" for note in report.get("notes", [])]
    lines += [f"{name:13} {_figure(value)}" for name, value in report.items() if isinstance(value, int | float)]
    points: dict[str, dict[str, float]] = report.get("per_keypoint", {})
    columns = list(next(iter(points.values()), {}))
    if columns:
        width = max(len(name) for name in points) + 2
        lines += ["", f"{'':{width}}" + "".join(f"{name:>10}" for name in columns)]
        lines += [
            f"{name:{width}}" + "".join(f"{_figure(row[column]):>10}" for column in columns)
            for name, row in points.items()
        ]
    return "\n".join(lines) + "\n"


def comparison_table(report: dict[str, Any]) -> str:
    """Published and measured figures of a model side by side."""
    measured, published = report["measured"], report["published"]
    flip = "flip test" if report["flip_test"] else "no flip test"
    lines = [
        f"{report['model']}: protocol {report['protocol']}, {report['images']} images, "
        f"{report['predictions']} predictions, boxes {report['boxes']}, {flip}",
    ]
    if published:
        lines.append(report["published_on"])
    lines += [f"note: {note}" for note in report["notes"]]
    lines += ["", f"{'':15}{'published':>10}{'measured':>10}{'difference':>12}"]
    names = [name for name, value in measured.items() if isinstance(value, int | float)]
    for name in [*(name for name in published if name not in names), *names]:
        expected, actual = published.get(name, math.nan), measured.get(name, math.nan)
        lines.append(f"{name:15}{_figure(expected):>10}{_figure(actual):>10}{_difference(actual, expected):>12}")
    return "\n".join(lines) + "\n"


def _difference(actual: float, expected: float) -> str:
    if not (math.isfinite(actual) and math.isfinite(expected)) or -1 in (actual, expected):
        return ""
    return f"{actual - expected:+.4f}" if abs(expected) <= 1 else f"{actual - expected:+.2f}"


def _figure(value: float | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if not math.isfinite(value) or value == -1 else f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"
