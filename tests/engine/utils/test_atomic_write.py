import os
import stat
from pathlib import Path

import pytest

from engine.errors import TrainingError
from engine.utils.atomic_write import write_atomically


def test_a_new_file_has_the_rights_of_any_other_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "made", b"content")
    assert (tmp_path / "made").read_bytes() == b"content"
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "made")}
    assert len(modes) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "plain"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="file"):
        write_atomically(tmp_path / "file" / "log", b"")
