"""Bad input is one line and status 2; progress is lines that a program can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import Cancelled, ModelError, PoseError
from engine.utils import command_line


def raising(error: BaseException) -> int:
    def main(argv: Sequence[str]) -> int:
        raise error

    return command_line.run(main, [])


def test_a_users_error_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(ModelError("is cut short;\ncopy it again", where="m.safetensors")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: m.safetensors: is cut short; copy it again\n"


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    raising(ModelError("is \x1b]0;owned\x07 bad", where="a\x1b[2J.json"))
    assert capsys.readouterr().err == "error: a\\x1b[2J.json: is \\x1b]0;owned\\x07 bad\n"
    raising(ModelError("a" * 1_000_000))
    assert len(capsys.readouterr().err) <= command_line.MAX_MESSAGE + 1


CALL = (
    "import sys; from engine.utils import command_line; "
    "raise SystemExit(command_line.run(lambda a: print('x' * 100_000) or 0, []))"
)


@pytest.mark.skipif(os.name == "nt", reason="streams of Unix")
@pytest.mark.parametrize(
    ("redirect", "status", "error"),
    [
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("| true", 130, ""),
        (">/dev/full", 2, "error: No space left on device\n"),
    ],
)
def test_a_closed_or_full_output_is_no_traceback(tmp_path: Path, redirect: str, status: int, error: str) -> None:
    command = f'"{sys.executable}" -c "{CALL}" {redirect}' + ("; exit ${PIPESTATUS[0]}" if "|" in redirect else "")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, error)


@pytest.mark.skipif(os.name == "nt", reason="streams of Unix")
def test_nothing_is_printed_into_a_file_that_got_the_number_of_a_closed_output(tmp_path: Path) -> None:
    code = (
        "import sys; from engine.utils import command_line\n"
        "def main(a):\n    with open('out.json', 'w') as file:\n        print('printed', flush=True)\n    return 0\n"
        "raise SystemExit(command_line.run(main, []))"
    )
    (tmp_path / "a.py").write_text(code, encoding="utf-8")
    command = f'"{sys.executable}" a.py >&-'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
    assert (tmp_path / "out.json").read_bytes() == b""


def test_interruption_and_cancelling_are_told_apart_from_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 130
    assert raising(Cancelled("stopped")) == 130
    assert capsys.readouterr().err.count("\n") == 2


def test_a_file_the_system_refuses_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(PermissionError(13, "Permission denied", "out.json")) == 2
    assert capsys.readouterr().err == "error: out.json: Permission denied\n"


def test_defects_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())


def test_wrong_use_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: Sequence[str]) -> int:
        parser = command_line.Parser(prog="python -m engine.x")
        command_line.add_progress_option(parser)
        parser.parse_args(argv)
        return 0

    assert command_line.run(main, ["--progress", "json"]) == 0
    assert command_line.run(main, ["--help"]) == 0
    capsys.readouterr()
    assert command_line.run(main, ["--nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--nonsense" in error


def test_json_progress_ends_at_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    with command_line.Progress("json", "predict", 5) as progress:
        for _ in range(5):
            progress.step()
        progress.event({"event": "saved", "file": "ü.json"})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-2]["done"] == lines[-2]["total"] == 5
    assert lines[-2]["seconds_left"] == 0
    assert lines[-1] == {"event": "saved", "file": "ü.json"}


@pytest.mark.parametrize("mode", ["none", "bar"])
def test_other_progress_writes_nothing_to_standard_output(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with command_line.Progress(mode, "predict", 2) as progress:
        progress.step(loss=0.5)
        progress.event({"event": "x"})
        progress.step()
    assert capsys.readouterr().out == ""


def test_errors_name_the_record_before_the_message() -> None:
    assert str(PoseError("is wrong", where="a.json: annotation 3")) == "a.json: annotation 3: is wrong"


def test_an_event_with_a_file_name_that_is_not_utf8_is_valid_json(capfd: pytest.CaptureFixture[str]) -> None:
    command_line.write_event({"event": "skipped", "where": "ü_\udce9.jpg"})
    line = capfd.readouterr().out
    assert line.isascii()
    assert json.loads(line)["where"] == "ü_\udce9.jpg"
