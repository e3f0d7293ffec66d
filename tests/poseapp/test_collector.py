"""The garbage collector is kept out of the way, and let loose again."""

from __future__ import annotations

import gc

from poseapp import collector


def test_pauses_nest_and_end() -> None:
    assert gc.isenabled()
    with collector.paused():
        with collector.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_is_set_aside_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    try:
        collector.set_aside()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
