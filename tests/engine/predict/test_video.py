"""``python -m engine.predict`` on videos: tracks, and going on after an interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from engine.errors import Cancelled
from engine.inference.pose_model import PoseModel
from engine.predict.__main__ import main
from engine.predict.tracking import track_video
from engine.utils.command_line import run
from engine.utils.context import Context

ROOT = Path(__file__).resolve().parents[3]
FAST = ("--model", "movenet_lightning", "--device", "cpu", "--progress", "none")
FRAMES = 14


@pytest.fixture(scope="module")
def film(resources_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut goes to the right by 10 pixels a frame."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    picture = cv2.cvtColor(cv2.imread(str(resources_dir / "sample/astronaut.jpg")), cv2.COLOR_BGR2RGB)
    picture = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 400, 256, "yuv420p"
        for index in range(FRAMES):
            ground = np.zeros((256, 400, 3), np.uint8)
            ground[:, 10 * index : 10 * index + 256] = picture
            for packet in stream.encode(av.VideoFrame.from_ndarray(ground, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def predict(*arguments: object) -> int:
    return run(main, [*map(str, arguments), *FAST])


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def journal_of(out: Path) -> Path:
    return out.with_name(out.name + ".part")


def interrupt(path: Path, out: Path, lines: int, *arguments: str) -> None:
    """Begin a run in a process of its own and kill it when it has done some frames."""
    command = [sys.executable, "-m", "engine.predict", str(path), "--out", str(out), *arguments, *FAST]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and process.poll() is None:
            if journal_of(out).exists() and journal_of(out).read_bytes().count(b"\n") > lines:
                break
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        process.wait()
    assert journal_of(out).read_bytes().count(b"\n") > lines
    assert not out.exists()


@pytest.fixture(scope="module")
def whole(film: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The result of a run without interruption."""
    out = tmp_path_factory.mktemp("whole") / "poses.json"
    assert predict(film, "--out", out, "--track") == 0
    assert [path.name for path in out.parent.iterdir()] == ["poses.json"]
    return out.read_bytes()


def test_a_person_keeps_one_track_through_a_video(whole: bytes) -> None:
    result = json.loads(whole)
    assert [image["frame_index"] for image in result["images"]] == list(range(FRAMES))
    best = {a["image_id"]: a for a in sorted(result["annotations"], key=lambda a: a["score"])}
    assert len(best) == FRAMES
    assert {a["track_id"] for a in best.values()} == {1}


@pytest.mark.slow
def test_tracks_of_two_videos_have_numbers_of_their_own(film: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(film.read_bytes())
    out = tmp_path / "p.json"
    assert predict(film, other, "--out", out, "--track", "--format", "results", "--box-threshold", 0.3) == 0
    rows = read(out)
    tracks = [{row["track_id"] for row in rows if (row["image_id"] > FRAMES) == second} for second in (False, True)]
    assert tracks[0]
    assert tracks[1]
    assert not tracks[0] & tracks[1]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_the_same_file(film: Path, tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "poses.json"
    interrupt(film, out, 3, "--track")
    remaining = journal_of(out).read_bytes()
    # What a process that is killed while it writes leaves behind.
    journal_of(out).write_bytes(remaining[: remaining.rindex(b"\n")] + b"\n[99,640,")
    assert predict(film, "--out", out, "--track", "--resume") == 0
    assert out.read_bytes() == whole
    assert not journal_of(out).exists()


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Have Ctrl+C pressed when a run has done so many frames; gives the list of the frames done."""
    original = PoseModel.stream
    seen: list[int] = []

    def make(limit: int) -> list[int]:
        def stream(self: PoseModel, *arguments: Any, **options: Any) -> Any:
            running = original(self, *arguments, **options)
            try:
                for count, result in enumerate(running):
                    if count == limit:
                        raise KeyboardInterrupt
                    seen.append(result[0].key)
                    yield result
            finally:
                running.close()

        monkeypatch.setattr(PoseModel, "stream", stream)
        return seen

    return make


def test_frames_that_are_done_are_not_done_again(
    film: Path, tmp_path: Path, whole: bytes, stop_after: Callable[[int], list[int]]
) -> None:
    out = tmp_path / "poses.json"
    stop_after(5)
    assert predict(film, "--out", out, "--track") == 130
    assert not out.exists()
    seen = stop_after(1000)
    assert predict(film, "--out", out, "--resume", "--track") == 0
    assert seen == list(range(FRAMES))
    assert out.read_bytes() == whole


def test_a_run_goes_on_only_with_the_inputs_and_options_that_it_was_started_with(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stop_after: Callable[[int], list[int]]
) -> None:
    out = tmp_path / "p.json"
    stop_after(1)
    assert predict(film, "--out", out) == 130
    before = journal_of(out).read_bytes()
    other = tmp_path / "other.mp4"
    other.write_bytes(film.read_bytes())
    for given, options, why in (
        (film, ("--flip-test",), "started with --flip-test False, not True"),
        (film, ("--detector", "none"), "started with --detector not given, not none"),
        (other, (), "other inputs"),
    ):
        capsys.readouterr()
        assert predict(given, "--out", out, "--resume", *options) == 2
        assert why in capsys.readouterr().err
        assert journal_of(out).read_bytes() == before
    journal_of(out).write_text("not mine\n")
    assert predict(film, "--out", out, "--resume") == 2
    assert "not a journal of a run" in capsys.readouterr().err


def test_resuming_what_was_never_begun_is_a_plain_run(film: Path, tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "poses.json"
    assert predict(film, "--out", out, "--track", "--resume") == 0
    assert out.read_bytes() == whole


def test_boxes_are_carried_over_between_frames_that_the_detector_looks_at(
    film: Path, tmp_path: Path, whole: bytes
) -> None:
    out = tmp_path / "p.json"
    assert predict(film, "--out", out, "--detect-every", 5) == 0
    best, every = (
        {a["image_id"]: a for a in sorted(content["annotations"], key=lambda a: a["score"])}
        for content in (read(out), json.loads(whole))
    )
    assert best.keys() == every.keys()
    for index in best:
        apart = np.subtract(best[index]["bbox"], every[index]["bbox"])
        assert np.abs(apart).max() < 30
        nose = np.subtract(best[index]["keypoints"][:2], every[index]["keypoints"][:2])
        assert np.abs(nose).max() < 6


def test_tracks_want_a_video(resources_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still = resources_dir / "sample/astronaut.jpg"
    assert predict(still, "--out", tmp_path / "p.json", "--track") == 2
    assert "--track follows poses through videos" in capsys.readouterr().err


def test_a_video_is_tracked_while_it_is_predicted(film: Path, whole: bytes) -> None:
    model = PoseModel.load("movenet_lightning", device="cpu")
    context = Context()
    frames = []
    for frame in track_video(model, film, context=context):
        frames.append(frame)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.time for frame in frames] == pytest.approx([index / 30 for index in range(FRAMES)])
    assert all(frame.image.shape == (256, 400, 3) for frame in frames)
    written = json.loads(whole)["annotations"]
    tracks = [track for frame in frames for track in frame.tracks]
    assert tracks == [annotation.get("track_id") for annotation in written]
    points = np.array([prediction.keypoints[:, :2] for frame in frames for prediction in frame.predictions])
    expected = np.array([annotation["keypoints"] for annotation in written]).reshape(len(written), -1, 3)[..., :2]
    np.testing.assert_allclose(points, expected, atol=0.01)


def test_tracking_a_video_can_be_cancelled(film: Path) -> None:
    model = PoseModel.load("movenet_lightning", "none", device="cpu")
    steps: list[tuple[int, int, str]] = []
    context = Context(lambda *step: steps.append(step))
    frames = track_video(model, film, detect_every=4, context=context)
    assert next(frames).index == 0
    context.cancel()
    with pytest.raises(Cancelled):
        next(frames)
    assert steps == []
