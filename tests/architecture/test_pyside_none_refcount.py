"""Some PySide6 releases lose a reference to None with every call, and abort after some thousands of them."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12 on")
def test_calls_that_return_none_keep_the_count_of_none() -> None:
    from PySide6.QtGui import QPen

    pen = QPen()
    before = sys.getrefcount(None)
    for _ in range(1000):
        pen.setCosmetic(True)
    assert sys.getrefcount(None) - before > -500
