"""One run of ``engine.predict`` in several processes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PoseError
from engine.predict.__main__ import main
from engine.predict.sharding import Shard, divide, ranges_of
from engine.utils.command_line import run

ROOT = Path(__file__).resolve().parents[3]
FAST = ("--model", "movenet_lightning", "--device", "cpu", "--progress", "none", "--detector", "none")


def write_film(path: Path, frames: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


@pytest.mark.slow
def test_two_processes_give_the_file_that_one_gives(
    resources_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [
        write_film(tmp_path / "a.mp4", 7, 0),
        resources_dir / "sample/astronaut.jpg",
        write_film(tmp_path / "b.mp4", 4, 1),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    alone, together = tmp_path / "alone.json", tmp_path / "out" / "together.json"
    arguments = [*map(str, inputs), *FAST, "--track"]
    command = [sys.executable, "-m", "engine.predict", *arguments, "--out", str(alone)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=240)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "engine.predict", *arguments, "--out", str(together)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert together.read_bytes() == alone.read_bytes()
    assert [path.name for path in together.parent.iterdir()] == ["together.json"]
    assert len(json.loads(alone.read_bytes())["images"]) == 12


@given(pending=st.lists(st.integers(0, 300), unique=True).map(sorted), size=st.integers(1, 9), step=st.integers(1, 40))
def test_every_image_belongs_to_one_process(pending: list[int], size: int, step: int) -> None:
    shares = divide(pending, size, lambda index: index - index % step)
    assert len(shares) == size
    values = [index for share in shares for start, stop in share for index in range(start, stop)]
    assert values == pending
    for before, after in itertools.pairwise(shares):
        if before and after:
            assert before[-1][1] <= after[0][0]


@given(numbers=st.lists(st.integers(-50, 50), unique=True).map(sorted))
def test_ranges_are_as_few_as_can_be(numbers: list[int]) -> None:
    ranges = ranges_of(numbers)
    assert [n for start, stop in ranges for n in range(start, stop)] == numbers
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


def test_an_environment_that_makes_no_sense_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PoseError, match="RANK=3, WORLD_SIZE=2"):
        Shard.from_environment()
    assert run(main, ["x.jpg", "--out", str(tmp_path / "p.json")]) == 2


def test_one_process_alone_needs_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    shard = Shard.from_environment()
    assert shard.is_main
    assert shard.device("auto") == "auto"
    assert shard.from_main(lambda: [[1, 2]]) == [[1, 2]]
    shard.finish()
