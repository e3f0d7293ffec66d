"""The pipeline of ``engine.predict``: speed against its slowest stage alone, memory over a long video, time to cancel.

    python tests/benchmarks/bench_pipeline.py [--video FILE] [--model ID] [--frames N] [--minutes M] [--device D]

Prints a Markdown table. A stage alone has the threads of the processor that it has in the pipeline.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as engine.predict has it; read when torch is loaded

import torch

from engine.inference.pose_model import CROPS, CROPS_ON_PROCESSOR, IMAGES, IMAGES_ON_PROCESSOR, Item, PoseModel
from engine.media.reader import FrameReader
from engine.media.video.reader import VideoReader
from engine.pose import Prediction
from engine.utils.command_line import run
from engine.utils.process import prepare_process
from resources import resource_path


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="(default: one made of a bundled photograph)")
    parser.add_argument("--model", default="movenet_thunder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5, help="length of the video whose memory is measured")
    options = parser.parse_args(argv)
    prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or _write(Path(folder, "person.mp4"), _person(options.frames), 640, 480)
        model = PoseModel.load(options.model, device=options.device)
        rows = [*_speed(model, video, options.frames, options.repeats), *_cancel(model, video)]
        rows += _memory(model, Path(folder), options.minutes)
    print("| measured | value |\n| --- | --- |")
    for name, value in rows:
        print(f"| {name} | {value} |")
    return 0


def _speed(model: PoseModel, video: Path, frames: int, repeats: int) -> Iterator[tuple[str, str]]:
    on_processor = model.device.type == "cpu"
    everything = torch.get_num_threads()
    share = max(1, everything // 2) if on_processor else everything
    crops, images_at_once = (CROPS_ON_PROCESSOR, IMAGES_ON_PROCESSOR) if on_processor else (CROPS, IMAGES)
    with VideoReader(video) as reader:
        frames = min(frames, reader.frame_count)
        images = [reader.read(index) for index in range(frames)]
    boxes = [model.find_boxes([image])[0] for image in images]

    def decode() -> None:
        with VideoReader(video) as reader:
            for index in range(frames):
                reader.read(index)

    def detect() -> None:
        for start in range(0, frames, images_at_once):
            model.find_boxes(images[start : start + images_at_once])

    def estimate() -> None:
        model.poses(images, [each[0] for each in boxes], [each[1] for each in boxes], False, crops)

    def whole() -> None:
        with FrameReader(keep=1, ahead=8) as reader:
            for _ in model.stream(_items(video, reader, frames)):
                pass

    alone = {"decode": decode, "detect": detect, "estimate": estimate}
    seconds: dict[str, list[float]] = {name: [] for name in [*alone, "pipeline"]}
    processor: dict[str, list[float]] = {name: [] for name in seconds}

    def measure(name: str, work: Callable[[], object]) -> None:
        before = time.process_time()
        seconds[name].append(_timed(work))
        processor[name].append(time.process_time() - before)

    for _ in range(repeats + 1):  # in turn, so that what else the machine does falls on all alike
        torch.set_num_threads(share)
        for name, work in alone.items():
            measure(name, work)
        torch.set_num_threads(everything)
        measure("pipeline", whole)
    best = {name: min(times[1:]) / frames for name, times in seconds.items()}
    slowest = max(alone, key=lambda name: best[name])
    poses = sum(len(each[0]) for each in boxes) / frames
    yield "device", f"{model.device}, {share} of {everything} threads for each network, {poses:.2f} poses a frame"
    for name, value in best.items():
        yield f"{name}, ms a frame", f"{1000 * value:.1f}"
    yield f"pipeline / slowest stage ({slowest})", f"{best[slowest] / best['pipeline']:.2f}"
    spent = {name: min(times[1:]) for name, times in processor.items()}
    overhead = spent["pipeline"] / sum(spent[name] for name in alone)
    yield "processor time, pipeline / stages alone (tells of a busy machine too)", f"{overhead:.2f}"
    yield "one after the other / pipeline", f"{sum(best[name] for name in alone) / best['pipeline']:.2f}"


def _cancel(model: PoseModel, video: Path) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(0)
    results = []
    for _ in range(8):
        with FrameReader(keep=1, ahead=8) as reader:
            stream = model.stream(_items(video, reader, 90))
            next(stream)
            time.sleep(rng.uniform(0, 0.3))
            results.append(_timed(stream.close))
    yield "cancel, ms (median, most)", f"{1000 * np.median(results):.0f}, {1000 * max(results):.0f}"


def _memory(model: PoseModel, folder: Path, minutes: float) -> Iterator[tuple[str, str]]:
    """The whole command, with networks that take no time: their memory does not grow, and hours would not be enough."""
    from engine.predict import __main__ as predict

    count = round(minutes * 60 * 30)
    video = _write(folder / "long.mp4", _noise(count), 320, 240)
    used: list[int] = []
    process = psutil.Process()

    class Quick(PoseModel):
        def find_boxes(self, images: Sequence[Any], threshold: float | None = None) -> list[tuple[Any, Any]]:
            used.append(process.memory_info().rss)
            box = np.array([[10, 10, 200, 200]], np.float32)
            return [(box, np.ones(1, np.float32)) for _ in images]

        def poses(self, images: Any, boxes: Any, scores: Any, flip_test: bool, batch: int) -> list[list[Prediction]]:
            points = np.full((self.schema.num_keypoints, 3), 0.5, np.float32)
            return [[Prediction(points, box, 0.5) for box in group] for group in boxes]

    Quick.load = classmethod(lambda cls, *arguments, **options: model)  # type: ignore[method-assign]
    find_boxes, poses = PoseModel.find_boxes, PoseModel.poses
    PoseModel.find_boxes, PoseModel.poses = Quick.find_boxes, Quick.poses  # type: ignore[method-assign]
    try:
        out = folder / "poses.json"
        started = time.monotonic()
        status = run(predict.main, [str(video), "--out", str(out), "--progress", "none", "--device", "cpu"])
        seconds = time.monotonic() - started
    finally:
        PoseModel.find_boxes, PoseModel.poses = find_boxes, poses  # type: ignore[method-assign]
    assert status == 0
    end = process.memory_info().rss
    tenth = len(used) // 10  # the first of them fill the buffers of decoded frames
    early, late = (np.median(part) / 2**20 for part in (used[3 * tenth : 4 * tenth], used[-tenth:]))
    yield (
        f"memory over {count} frames, MiB (4th tenth, last tenth, after writing)",
        (f"{early:.0f}, {late:.0f}, {end / 2**20:.0f}"),
    )
    yield "that run without networks, frames a second", f"{count / seconds:.0f}"


def _items(video: Path, reader: FrameReader, frames: int) -> Iterator[Item[int]]:
    for index in range(frames):
        yield Item(index, lambda index=index: reader.read(video, index), sequence=video, frame=index)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _person(count: int) -> Iterator[np.ndarray]:
    from engine.media.images import read_image

    picture = read_image(resource_path("sample/astronaut.jpg"))[:480]
    for index in range(count):
        ground = np.zeros((480, 640, 3), np.uint8)
        shift = index % 100
        ground[:, shift : shift + 512] = picture
        yield ground


def _noise(count: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 255, (15, 20, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(8)]
    for index in range(count):
        yield pictures[index // 30 % 8]


def _write(path: Path, pictures: Iterator[np.ndarray], width: int, height: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
