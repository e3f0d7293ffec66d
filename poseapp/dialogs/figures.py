"""Figures of models in plain words. No Qt."""

from __future__ import annotations

from collections.abc import Mapping


def say_figures(metrics: Mapping[str, object], limit: int = 3) -> str:
    """Figures of a model in plain words: "typical error 2.1 px, AP 0.72"."""
    words: list[str] = []
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        words.append(say_metric(name, float(value)))
    return ", ".join(words[:limit])


def say_metric(name: str, value: float) -> str:
    """One figure as people read it."""
    if name == "median_px":
        return f"typical error {value:.1f} px"
    if name == "mean_px":
        return f"mean error {value:.1f} px"
    if name.startswith("PCK@"):
        return f"{value:.0%} of points within {float(name[4:]):.0%} of the box"
    return f"{name} {value:.3f}"
