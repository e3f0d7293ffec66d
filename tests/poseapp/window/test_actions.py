"""Every row of the actions table can be shown and done."""

from __future__ import annotations

from collections import Counter

import pytest
from PySide6.QtGui import QKeySequence

from poseapp.window.actions import ACTIONS, BY_ID, MENUS, Action
from resources import resource_path


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(ACTIONS)


@pytest.mark.parametrize("row", ACTIONS, ids=lambda row: row.id)
def test_row_has_a_command_text_and_icon(row: Action) -> None:
    assert callable(row.run)
    assert row.text
    assert row.menu in ("", *MENUS)
    if row.icon:
        assert resource_path(f"icons/{row.icon}.svg").is_file()
    for key in row.keys:
        assert QKeySequence(key).toString() != ""


def test_no_key_belongs_to_two_verbs() -> None:
    keys = Counter(QKeySequence(key).toString() for row in ACTIONS for key in row.keys)
    assert [key for key, count in keys.items() if count > 1] == []


def test_verbs_outside_the_menus_have_a_key() -> None:
    assert [row.id for row in ACTIONS if not row.menu and not row.keys] == []
