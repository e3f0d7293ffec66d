"""One bad item among many does not end a run of ``python -m engine.predict``: it is skipped and listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import engine.predict.__main__
from engine.inference.pose_model import PoseModel
from engine.media.video.reader import VideoReader
from engine.predict.__main__ import main
from engine.utils.command_line import run
from tests.engine.media.video_clips import X264, Clip
from tests.engine.media.video_clips import make as make_clip

ROOT = Path(__file__).resolve().parents[3]
FAST = ("--model", "movenet_lightning", "--device", "cpu", "--progress", "none", "--detector", "none")


def predict(*arguments: object) -> int:
    return run(main, [*map(str, arguments), *FAST])


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def write_picture(path: Path, seed: int = 0) -> Path:
    picture = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    done, data = cv2.imencode(".png", picture)
    assert done
    path.write_bytes(data.tobytes())
    return path


def write_film(path: Path, frames: int = 12, seed: int = 0) -> Path:
    """A film of noise, each frame of which is coded by itself."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good pictures: 1.png, 3.png, 5.png."""
    path = tmp_path / "images"
    path.mkdir()
    for index in (1, 3, 5):
        write_picture(path / f"{index}.png", index)
    return path


def cut_short(path: Path) -> None:
    path.write_bytes(write_picture(path).read_bytes()[:1000])


def make_empty(path: Path) -> None:
    path.touch()


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere.png")


def make_text(path: Path) -> None:
    path.write_text("not a picture")


def make_film_of_noise(path: Path) -> None:
    path.write_bytes(b"\0" * 5000)


@pytest.mark.parametrize("name", ["0.png", "2.png", "9.png"])
@pytest.mark.parametrize("make", [cut_short, make_empty, make_dangling_link, make_text])
def test_an_unreadable_picture_at_any_position_is_skipped_and_listed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, make: Callable[[Path], None]
) -> None:
    make(folder / name)
    out = tmp_path / "p.json"
    assert predict(folder, "--out", out) == 0
    error = capsys.readouterr().err
    assert "skipped 1 input:" in error
    assert name in error
    result = read(out)
    assert [image["file_name"] for image in result["images"]] == ["1.png", "3.png", "5.png"]
    assert {a["image_id"] for a in result["annotations"]} == {image["id"] for image in result["images"]}
    (item,) = result["skipped"]
    assert item["where"] == str(folder / name)
    assert item["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "p.json"]


def test_strict_writes_the_same_result_and_fails(folder: Path, tmp_path: Path) -> None:
    cut_short(folder / "9.png")
    plain, strict = tmp_path / "a.json", tmp_path / "b.json"
    assert predict(folder, "--out", plain) == 0
    assert predict(folder, "--out", strict, "--strict") == 2
    assert strict.read_bytes() == plain.read_bytes()


def test_strict_is_no_failure_when_everything_was_read(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    assert predict(folder, "--out", out, "--strict") == 0
    assert "skipped" not in read(out)


def test_inputs_named_one_by_one_are_skipped_alike(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, film, empty = folder / "notes.txt", folder / "film.mp4", tmp_path / "empty"
    notes.touch()
    make_film_of_noise(film)
    empty.mkdir()
    out = tmp_path / "p.json"
    given = (folder / "1.png", folder / "missing.png", notes, film, empty, folder / "3.png")
    assert predict(*given, "--out", out) == 0
    result = read(out)
    assert [image["file_name"] for image in result["images"]] == ["images/1.png", "images/3.png"]
    assert {Path(item["where"]).name for item in result["skipped"]} == {"missing.png", "notes.txt", "film.mp4", "empty"}
    assert "skipped 4 inputs" in capsys.readouterr().err


def test_a_folder_that_is_called_like_a_picture_is_a_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "x.jpg").mkdir()
    write_picture(folder / "x.jpg" / "y.png")
    out = tmp_path / "p.json"
    assert predict(folder, "--out", out) == 0
    result = read(out)
    assert [image["file_name"] for image in result["images"]] == ["1.png", "3.png", "5.png", "x.jpg/y.png"]
    assert "skipped" not in result


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_skipped(folder: Path, tmp_path: Path) -> None:
    (folder / "sub").mkdir()
    write_picture(folder / "sub" / "a.png")
    (folder / "3.png").chmod(0)
    (folder / "sub").chmod(0)
    out = tmp_path / "p.json"
    try:
        assert predict(folder, "--out", out) == 0
    finally:
        (folder / "sub").chmod(0o755)
    assert {Path(item["where"]).name: item["reason"] for item in read(out)["skipped"]} == {
        "3.png": "cannot be read (Permission denied)",
        "sub": "cannot be read (Permission denied)",
    }


def test_a_file_that_vanishes_after_it_was_listed_is_skipped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = engine.predict.__main__.run_model

    def run_later(*arguments: Any) -> None:
        (folder / "5.png").unlink()
        original(*arguments)

    monkeypatch.setattr(engine.predict.__main__, "run_model", run_later)
    out = tmp_path / "p.json"
    assert predict(folder, "--out", out) == 0
    result = read(out)
    assert [image["file_name"] for image in result["images"]] == ["1.png", "3.png"]
    assert result["skipped"] == [{"where": str(folder / "5.png"), "reason": "does not exist"}]


def test_a_results_list_has_the_skipped_ones_in_a_file_beside_it(folder: Path, tmp_path: Path) -> None:
    make_empty(folder / "9.png")
    out = tmp_path / "r.json"
    beside = tmp_path / "r.json.skipped.json"
    assert predict(folder, "--out", out, "--format", "results") == 0
    assert [Path(item["where"]).name for item in read(beside)] == ["9.png"]
    assert {row["image_id"] for row in read(out)} == {1, 2, 3}
    (folder / "9.png").unlink()
    assert predict(folder, "--out", out, "--format", "results") == 0
    assert not beside.exists()


def test_a_program_gets_the_whole_list_as_an_event(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(20, 35):
        make_empty(folder / f"{index}.png")
    arguments = [str(folder), "--out", str(tmp_path / "p.json"), *FAST, "--progress", "json"]
    assert run(main, arguments) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert events[-1]["event"] == "skipped"
    assert events[-1]["count"] == len(events[-1]["items"]) == 15
    assert "and 5 more" in captured.err


def damage(film: Path, frame: int) -> None:
    """Overwrite most of what is coded of one frame."""
    with VideoReader(film) as reader:
        sizes = reader.index.packets.size.astype(np.int64)
    data = bytearray(film.read_bytes())
    begin = data.index(b"mdat") + 4 + int(sizes[:frame].sum())
    end = begin + int(sizes[frame])
    data[begin + 40 : end] = b"\0" * (end - begin - 40)
    film.write_bytes(bytes(data))


@pytest.mark.slow
def test_a_damaged_frame_is_no_image_without_poses(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4")
    damage(film, 4)
    for more in ((), ("--track",), ("--detect-every", 3), ("--track", "--detect-every", 5)):
        out = tmp_path / "p.json"
        assert predict(film, "--out", out, *more) == 0
        result = read(out)
        assert [image["frame_index"] for image in result["images"]] == [n for n in range(12) if n != 4]
        assert len(result["annotations"]) == 11
        assert f"{film}: frame 4" in [item["where"] for item in result["skipped"]]


def test_a_video_that_was_cut_short_is_used_as_far_as_it_goes_and_said_to_be_cut_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = make_clip(Clip("film.mkv", "libx264", X264), tmp_path)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 5])
    out = tmp_path / "p.json"
    assert predict(film, "--out", out) == 0
    assert "film.mkv: is cut short" in capsys.readouterr().err
    result = read(out)
    assert 1 < len(result["images"]) < 150
    assert result["skipped"][0]["where"] == str(film)
    assert predict(film, "--out", out, "--strict") == 2


def test_tracks_go_on_beside_a_video_that_cannot_be_opened(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", 3)
    make_film_of_noise(tmp_path / "b.mp4")
    out = tmp_path / "p.json"
    assert predict(tmp_path / "b.mp4", film, "--track", "--out", out) == 0
    result = read(out)
    assert len(result["images"]) == 3
    assert all("track_id" in annotation for annotation in result["annotations"])
    assert [Path(item["where"]).name for item in result["skipped"]] == ["b.mp4"]


@pytest.mark.slow
def test_several_processes_list_what_one_lists(folder: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", 6)
    damage(film, 4)
    cut_short(folder / "2.png")
    make_film_of_noise(tmp_path / "noise.mp4")
    inputs = [str(path) for path in (folder, film, tmp_path / "noise.mp4", tmp_path / "gone.png")]
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "engine.predict", *inputs, "--out", str(alone), *FAST]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=240)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "engine.predict", *inputs, "--out", str(together), *FAST]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert together.read_bytes() == alone.read_bytes()
    assert done.stderr.count("skipped 4 inputs") == 1


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Begin a run, and have Ctrl+C pressed after so many images; the list gets what later runs work on."""
    original = PoseModel.stream

    def begin(limit: int, *arguments: object) -> list[Any]:
        done: list[Any] = []
        limits = [limit]

        def stream(self: PoseModel, items: Any, *more: Any, **options: Any) -> Any:
            running = original(self, items, *more, **options)
            try:
                for count, result in enumerate(running):
                    if count == limits[0]:
                        raise KeyboardInterrupt
                    done.append(result[0].key)
                    yield result
            finally:
                running.close()

        monkeypatch.setattr(PoseModel, "stream", stream)
        assert predict(*arguments) == 130
        done.clear()
        limits[0] = -1
        return done

    return begin


def resumed(folder: Path, out: Path) -> tuple[Any, Any]:
    """What a run that goes on gives, and what a run from the beginning gives."""
    assert predict(folder, "--out", out, "--resume") == 0
    again = out.with_name("again.json")
    assert predict(folder, "--out", again) == 0
    return read(out), read(again)


def test_a_run_goes_on_after_a_broken_file_was_mended(
    folder: Path, tmp_path: Path, interrupted: Callable[..., list[Any]]
) -> None:
    cut_short(folder / "2.png")
    out = tmp_path / "p.json"
    done = interrupted(3, folder, "--out", out)
    write_picture(folder / "2.png", 2)
    assert predict(folder, "--out", out, "--resume") == 0
    assert done == [1, 3]  # the mended one and the one that was not reached
    result = read(out)
    assert [image["file_name"] for image in result["images"]] == ["1.png", "2.png", "3.png", "5.png"]
    assert "skipped" not in result
    again = tmp_path / "again.json"
    assert predict(folder, "--out", again) == 0
    assert out.read_bytes() == again.read_bytes()


def test_a_run_goes_on_after_a_broken_file_was_taken_away(
    folder: Path, tmp_path: Path, interrupted: Callable[..., list[Any]]
) -> None:
    cut_short(folder / "0.png")
    out = tmp_path / "p.json"
    interrupted(2, folder, "--out", out)
    (folder / "0.png").unlink()
    result, again = resumed(folder, out)
    assert result == again
    assert [image["file_name"] for image in result["images"]] == ["1.png", "3.png", "5.png"]


def test_a_run_goes_on_after_files_were_added_and_replaced(
    folder: Path, tmp_path: Path, interrupted: Callable[..., list[Any]]
) -> None:
    out = tmp_path / "p.json"
    done = interrupted(2, folder, "--out", out)
    write_picture(folder / "0.png", 77)
    write_picture(folder / "1.png", 78)
    os.utime(folder / "1.png", ns=(5, 5))
    assert predict(folder, "--out", out, "--resume") == 0
    assert done == [0, 1, 3]  # 3.png, done before, is number 2 now
    result = read(out)
    again = tmp_path / "again.json"
    assert predict(folder, "--out", again) == 0
    assert result == read(again)


def test_a_run_goes_on_at_a_file_that_is_still_broken(
    folder: Path, tmp_path: Path, interrupted: Callable[..., list[Any]]
) -> None:
    cut_short(folder / "0.png")
    out = tmp_path / "p.json"
    interrupted(2, folder, "--out", out)
    result, again = resumed(folder, out)
    assert result == again
    assert len(result["skipped"]) == 1


def test_a_run_goes_on_beside_a_video_that_was_mended(
    folder: Path, tmp_path: Path, interrupted: Callable[..., list[Any]]
) -> None:
    film, noise = write_film(tmp_path / "a.mp4", 4), tmp_path / "b.mp4"
    make_film_of_noise(noise)
    out = tmp_path / "p.json"
    done = interrupted(3, noise, film, "--out", out)
    write_film(noise, 5, seed=4)
    assert predict(noise, film, "--out", out, "--resume") == 0
    assert done == [0, 1, 2, 3, 4, 8]
    result = read(out)
    assert [(image["video"], image["frame_index"]) for image in result["images"]] == [
        *(("b.mp4", n) for n in range(5)),
        *(("a.mp4", n) for n in range(4)),
    ]


def test_other_boxes_are_done_anew(folder: Path, tmp_path: Path, interrupted: Callable[..., list[Any]]) -> None:
    labels, boxes, out = tmp_path / "l.json", tmp_path / "b.json", tmp_path / "p.json"
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in (1, 3, 5)]
    labels.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "person"}], "annotations": []}))
    rows = [{"image_id": n, "category_id": 1, "bbox": [5, 5, 30, 30], "score": 1.0} for n in (1, 3, 5)]
    boxes.write_text(json.dumps(rows))
    given = (folder, "--annotations", labels, "--boxes", boxes, "--out", out)
    done = interrupted(2, *given)
    rows[0]["bbox"] = [9, 9, 30, 30]
    boxes.write_text(json.dumps(rows))
    assert predict(*given, "--resume") == 0
    assert done == [0, 2]
    assert [a["bbox"] for a in read(out)["annotations"]] == [row["bbox"] for row in rows]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_name_that_is_not_utf8_comes_back_from_the_result(folder: Path, tmp_path: Path) -> None:
    strange = os.fsencode(folder) + b"/f_\xe9.png"
    shutil.copy(os.fsencode(folder / "1.png"), strange)
    for form in ("coco", "results"):
        assert predict(folder, "--out", tmp_path / f"{form}.json", "--format", form) == 0
    text = (tmp_path / "coco.json").read_text(encoding="utf-8")
    assert "f_\\udce9.png" in text
    name = json.loads(text)["images"][-1]["file_name"]
    assert os.fsencode(folder / name) == strange
    # The file is read again, and its images are found by it.
    again = tmp_path / "again.json"
    assert predict(folder, "--annotations", tmp_path / "coco.json", "--out", again) == 0
    assert [image["file_name"] for image in read(again)["images"]] == ["1.png", "3.png", "5.png", "f_\udce9.png"]
    assert "skipped" not in read(again)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_video_and_a_folder_may_have_names_that_are_not_utf8(folder: Path, tmp_path: Path) -> None:
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    strange.mkdir()
    film = write_film(tmp_path / "film.mp4", 3)
    shutil.move(film, strange / os.fsdecode(b"\xfc.mp4"))
    make_empty(strange / os.fsdecode(b"\xe4.png"))
    out = strange / "p.json"
    given = (folder, strange / os.fsdecode(b"\xfc.mp4"), strange / os.fsdecode(b"\xe4.png"))
    assert predict(*given, "--out", out, "--track", "--overlay", strange / "drawn") == 0
    result = read(out)
    assert [image["video"] for image in result["images"] if "video" in image] == ["caf\udce9/\udcfc.mp4"] * 3
    assert result["skipped"][0]["where"] == str(given[2])
    assert (strange / "drawn" / result["images"][-1]["file_name"]).is_file()


def test_a_project_is_no_input(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "mice.pose"
    project.write_bytes(b"SQLite format 3\0")
    assert predict(project, "--out", tmp_path / "p.json") == 2
    assert "is a project; export it as COCO" in capsys.readouterr().err
    assert predict(folder, "--annotations", project, "--out", tmp_path / "p.json") == 2
    assert "is a project; export it as COCO" in capsys.readouterr().err


def test_a_missing_image_is_not_replaced_by_another_of_its_name(folder: Path, tmp_path: Path) -> None:
    """Two cameras number their pictures alike; the pictures of one of them are there."""
    (folder / "left").mkdir()
    write_picture(folder / "left" / "7.png")
    labels = tmp_path / "labels.json"
    names = ("left/7.png", "right/7.png", "1.png")
    images = [{"id": n, "file_name": name, "width": 64, "height": 48} for n, name in enumerate(names, 1)]
    labels.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    out = tmp_path / "p.json"
    assert predict(folder, "--annotations", labels, "--out", out) == 0
    result = read(out)
    assert [image["id"] for image in result["images"]] == [1, 3]
    assert [item["where"] for item in result["skipped"]] == [f"{labels}: image 2"]


def test_videos_in_a_folder_of_pictures_are_listed_as_not_read(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out.json"
    (folder / "more").mkdir(parents=True)
    write_picture(folder / "a.png")
    write_film(folder / "more" / "film.mp4", 2)
    write_film(folder / "more" / "second.mp4", 2)
    assert predict(folder, "--out", out) == 0
    assert [image["file_name"] for image in read(out)["images"]] == ["a.png"]
    (entry,) = read(out)["skipped"]
    assert entry["where"] == str(folder)
    assert f"{Path('more', 'film.mp4')} and 1 more" in entry["reason"]
    assert predict(folder, "--out", out, "--strict") == 2
