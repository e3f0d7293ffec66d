"""Metrics of models as text. No Qt."""

from __future__ import annotations

from collections.abc import Mapping

TRAIN = "train_"
"""Before the name of a figure that was measured on the training images themselves."""
ORDER = ("median_px", "PCK@0.2", "AP", "AP50", "recall", "mean_px")


def rank(name: str) -> tuple[int, str]:
    """Sort key of a metric, most informative first."""
    plain = name.removeprefix(TRAIN)
    return (ORDER.index(plain) if plain in ORDER else len(ORDER), plain)


def card_words(name: str, value: float) -> tuple[str, str]:
    """Title and value of a metric: ("Typical error", "2.1 px")."""
    plain = name.removeprefix(TRAIN)
    if plain == "median_px":
        return "Typical error", f"{value:.1f} px"
    if plain == "mean_px":
        return "Mean error", f"{value:.1f} px"
    if plain.startswith("PCK@"):
        return f"PCK@{float(plain[4:]):g}", f"{value:.0%}"
    if plain == "recall":
        return "Subjects found", f"{value:.0%}"
    return plain, f"{value:.3f}"


def say_figures(metrics: Mapping[str, object], limit: int = 2) -> str:
    """The most informative metrics in one line: "typical error 2.1 px, AP 0.72"."""
    values = {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    chosen = sorted(values, key=rank)[:limit]
    words = [_in_line(*card_words(name, values[name])) for name in chosen]
    own = " on its training images" if any(name.startswith(TRAIN) for name in chosen) else ""
    return ", ".join(words) + own


def _in_line(title: str, value: str) -> str:
    if title.startswith("PCK@"):
        return f"{title} {value}"
    return f"{title if title.isupper() or title[:2].isupper() else title.lower()} {value}"
