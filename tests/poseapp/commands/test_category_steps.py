"""An edit of a skeleton in the window is undone and redone by its keys, and every view follows."""

from __future__ import annotations

from msgspec.structs import replace
from PySide6.QtCore import Qt

from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import Hands


def limbs(window: MainWindow) -> list[tuple[str, str]]:
    (schema,) = window.session.schemas.values()
    return [(limb.start, limb.end) for limb in schema.limbs]


def test_undo_brings_back_the_limbs_of_a_skeleton(hands: Hands) -> None:
    window = hands.window
    (category,) = window.session.categories()
    before = limbs(window)
    fewer = replace(category.schema, limbs=category.schema.limbs[:1])
    assert window.session.update_category(category, "animal", fewer)
    assert limbs(window) == before[:1]
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert limbs(window) == before
    assert [c.name for c in window.session.categories()] == ["figure"]
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert limbs(window) == before[:1]
    assert [c.name for c in window.session.categories()] == ["animal"]
