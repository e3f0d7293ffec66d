"""The garbage collector is kept out of the way, and let loose again."""

from __future__ import annotations

import gc

from poseapp.app import gc_control


def test_pauses_nest_and_end() -> None:
    assert gc.isenabled()
    with gc_control.paused():
        with gc_control.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_is_set_aside_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    try:
        gc_control.freeze_objects()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
