"""What a run has done so far: only whole lines count, and only for files that are still the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoImage
from engine.pose import Prediction
from engine.predict.inputs import GivenBoxes, Source
from engine.predict.items import FileState, RunItems, run_items
from engine.predict.journal import Header, Journal, JournalReader, journal_path, journals, prediction_of, read_journal

HEADER = Header({"--model": "m"}, "digest")
FILES = [FileState(f"/pictures/{name}.png", 100, 5) for name in "abc"]
ITEMS = RunItems([(file, 0) for file in FILES])


def pose(x: float) -> Prediction:
    return Prediction(np.array([[x, 2, 0.5]], np.float32), np.array([1, 2, 3, 4], np.float32), 0.25, 0.5, "mouse")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "p.json.part"
    with Journal.start(path, HEADER) as journal:
        journal.append(FILES[0], 0, 64, 48, [pose(1), pose(2)])
        journal.append(FILES[1], 0, 640, 480)
    return path


def test_a_line_gives_back_what_was_written(path: Path) -> None:
    with JournalReader([path], HEADER, ITEMS) as result:
        assert result.poses.tolist() == [2, 0, -1]
        line = result[0]
        assert (line.width, line.height) == (64, 48)
        again = prediction_of(line.poses[1], "mouse")
        assert np.array_equal(again.keypoints, pose(2).keypoints)
        assert np.array_equal(again.box, pose(2).box)
        assert (again.score, again.box_score) == (0.25, 0.5)
        with pytest.raises(KeyError):
            result[2]


@pytest.mark.parametrize("lost", range(1, 12))
def test_a_line_that_was_cut_off_is_not_taken_for_a_whole_one(path: Path, lost: int) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[:-lost])
    lines = read_journal(path, HEADER)
    assert lines.end == last
    assert len(lines.poses) == 1
    with JournalReader([path], HEADER, ITEMS) as result:
        assert result.poses.tolist() == [2, -1, -1]
    with Journal.resume(path, HEADER) as journal:
        journal.append(FILES[1], 0, 640, 480)
    assert path.read_bytes() == whole


def test_a_line_without_its_end_of_line_is_not_whole(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"[0,0,64,48,[]]")
    assert len(read_journal(path, HEADER).poses) == 2


def test_what_stands_behind_a_damaged_line_does_not_count(path: Path) -> None:
    good = path.read_bytes()
    for bad in (b"[0,0,64\n", b"{}\n", b"\0\0\0\n", b"[9,0,64,48,[]]\n", b"[-1,0,64,48,[]]\n", b'{"path":1}\n'):
        path.write_bytes(good + bad + b"[0,0,64,48,[]]\n")
        lines = read_journal(path, HEADER)
        assert lines.end == len(good)
        assert len(lines.poses) == 2


def test_a_cut_off_name_of_a_file_is_written_again(path: Path) -> None:
    with Journal.resume(path, HEADER) as journal:
        journal.append(FILES[2], 0, 5, 5)
    whole = path.read_bytes()
    start = whole.rindex(b"{")
    path.write_bytes(whole[: start + 10])
    with Journal.resume(path, HEADER) as journal:
        journal.append(FILES[2], 0, 5, 5)
    assert path.read_bytes() == whole


def test_an_empty_journal_is_begun_anew(path: Path) -> None:
    path.write_bytes(b"")
    with Journal.resume(path, HEADER) as journal:
        journal.append(FILES[0], 0, 64, 48)
    assert read_journal(path, HEADER).poses == [0]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (Header({"--model": "n"}, "digest"), "started with --model m, not n"),
        (Header({"--model": "m"}, "other"), "the model or the detector has changed"),
        (Header({"--model": "m"}, "digest", 1), "another version"),
    ],
)
def test_a_run_of_other_options_is_refused(path: Path, header: Header, why: str) -> None:
    before = path.read_bytes()
    with pytest.raises(CocoError, match=why):
        Journal.resume(path, header)
    assert path.read_bytes() == before


def test_an_image_is_known_by_its_file_and_not_by_its_number(path: Path) -> None:
    new = FileState("/pictures/0.png", 7, 7)
    changed = FileState(FILES[1].path, 101, 6)
    items = RunItems([(new, 0), (changed, 0), (FILES[0], 0), (FILES[0], 0)])
    with JournalReader([path], HEADER, items) as result:
        assert result.poses.tolist() == [-1, -1, 2, 2]
        assert (result.lines, result.used) == (2, 1)


def test_a_file_that_could_be_read_at_last_has_no_problem_left(path: Path) -> None:
    with Journal.resume(path, HEADER) as journal:
        journal.append(FILES[2], 0, 0, 0, problem="is empty \udce9")
    with JournalReader([path], HEADER, ITEMS) as result:
        assert result.poses.tolist() == [2, 0, -1]
        assert result.problems == {2: "is empty \\udce9"}
    with Journal.resume(path, HEADER) as journal:
        journal.append(FILES[2], 0, 9, 9, [pose(3)])
    with JournalReader([path], HEADER, ITEMS) as result:
        assert result.poses.tolist() == [2, 0, 1]
        assert not result.problems


def test_frames_of_a_video_are_found_by_their_number() -> None:
    film, still = FileState("/film.mp4", 5, 5), FILES[0]
    items = RunItems([(still, 0), *((film, n) for n in range(4)), (still, 0)])
    assert items.indices(film, 3) == [4]
    assert items.indices(film, 4) == []
    assert items.indices(still, 0) == [0, 5]
    assert items.indices(FILES[1], 0) == []


def test_the_state_of_a_file_is_its_size_its_time_and_its_boxes(tmp_path: Path) -> None:
    file, gone = tmp_path / "a.png", tmp_path / "gone.png"
    file.write_bytes(b"12345")
    box = np.array([[1.0, 2, 3, 4]])
    boxes = [GivenBoxes(box * scale, box, np.ones(1), [1]) for scale in (1, 2)]
    image = CocoImage(1, "a.png")
    (plain, _), (missing, _), (one, _), (other, _) = run_items(
        [Source(image, file), Source(image, gone), *(Source(image, file, given) for given in boxes)]
    )
    assert (plain.path, plain.size) == (str(file), 5)
    assert (missing.size, missing.changed) == (-1, -1)
    assert len({plain, one, other}) == 3


def test_journals_of_several_processes_are_read_in_their_order(path: Path) -> None:
    out = path.with_name("p.json")
    for rank in (10, 2):
        Journal.start(journal_path(out, rank), HEADER).close()
    path.with_name("p.json.part.x").touch()
    assert [result.name for result in journals(out)] == ["p.json.part", "p.json.part.2", "p.json.part.10"]
