"""Speed and memory of the project with 100,000 instances. Run by hand: ``python tests/benchmarks/bench_project.py``.

Each measurement has a process of its own, so that peak memory is its own. Files are made in a temporary folder.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

IMAGES, PER_IMAGE = 20_000, 5
SIDES = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{point}" for point in SIDES for side in ("left", "right"))]


def generate(path: Path) -> None:
    """A file like COCO's own: 5 people an image, 17 points, a polygon each."""
    chance = random.Random(0)
    images = [{"license": 3, "file_name": f"{i:012d}.jpg", "height": 480, "width": 640, "id": i} for i in range(IMAGES)]
    annotations = []
    for n in range(IMAGES * PER_IMAGE):
        points: list[int] = []
        for _ in range(17):
            present = chance.random() < 0.8
            points += [chance.randrange(640), chance.randrange(480), chance.choice((1, 2, 2))] if present else [0, 0, 0]
        annotations.append(
            {
                "segmentation": [[round(chance.random() * 640, 2) for _ in range(24)]],
                "num_keypoints": sum(v > 0 for v in points[2::3]),
                "area": round(chance.random() * 1e4, 4),
                "iscrowd": 0,
                "keypoints": points,
                "image_id": n // PER_IMAGE,
                "bbox": [round(chance.random() * 300, 2) for _ in range(4)],
                "category_id": 1,
                "id": 900_000 + n,
            }
        )
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[16, 14], [14, 12], [6, 7]]}
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def make_file(folder: Path) -> dict[str, Any]:
    return {"making the file": timed(lambda: generate(folder / "labels.json"))}


def measure_json(folder: Path) -> dict[str, Any]:
    return {"json.load": timed(lambda: json.loads((folder / "labels.json").read_bytes()))}


def measure_dataset(folder: Path) -> dict[str, Any]:
    from engine.formats.coco.dataset import CocoDataset

    data: list[CocoDataset] = []
    read = timed(lambda: data.append(CocoDataset.read(folder / "labels.json")))
    return {"CocoDataset.read": read, "CocoDataset.write": timed(lambda: data[0].write(folder / "copy.json"))}


def measure_import(folder: Path) -> dict[str, Any]:
    from poseapp.project.formats.coco.importer import import_coco
    from poseapp.project.store import ProjectStore

    with ProjectStore.create(folder / "x.pose") as store:
        return {"import_coco": timed(lambda: import_coco(store, folder / "labels.json"))}


def measure_open(folder: Path) -> dict[str, Any]:
    from poseapp.project.store import ProjectStore

    start = time.perf_counter()
    with ProjectStore.open(folder / "x.pose") as store:
        frames = store.frames()
        store.categories()
        opened = time.perf_counter() - start
        results = {"reopen, frames and categories": opened, "counts of all frames, first time": timed(store.counts)}
        some = [frames[(n * 7919) % IMAGES].key for n in range(2000)]

        def visit() -> None:
            for key in some:
                store.instances(key)
                store.counts()[key]

        results["frame: instances and counts"] = timed(visit) / len(some)
    return results


def measure_edits(folder: Path) -> dict[str, Any]:
    from poseapp.project import edits
    from poseapp.project.store import ProjectStore

    with ProjectStore.open(folder / "x.pose") as store:
        key = store.frame_keys()[100]
        index = store.instances(key)[0].id
        store.counts()

        def drag() -> None:
            for n in range(200):
                store.apply(edits.move_keypoints(key, store.instance(index), {3: (n, n)}))

        def back() -> None:
            for _ in range(200):
                store.undo()

        return {"edit, durable": timed(drag) / 200, "undo, durable": timed(back) / 200}


def measure_export(folder: Path) -> dict[str, Any]:
    from poseapp.project.formats.coco.exporter import export_coco
    from poseapp.project.store import ProjectStore

    with ProjectStore.open(folder / "x.pose", read_only=True) as store:
        return {"export_coco": timed(lambda: export_coco(store, folder / "out.json"))}


def check_export(folder: Path) -> dict[str, Any]:
    assert json.loads((folder / "out.json").read_bytes()) == json.loads((folder / "labels.json").read_bytes())
    return {}


def measure_bulk(folder: Path) -> dict[str, Any]:
    """All instances become predictions, then are accepted in one edit, which is taken back and done again."""
    from poseapp.project import edits
    from poseapp.project.model import Edit, Instance
    from poseapp.project.store import ProjectStore

    with ProjectStore.open(folder / "x.pose") as store:
        with store.database.write():
            store.database.run("UPDATE instance SET state = 0, score = 0.5, by_human = zeroblob(17)")
        items: list[Edit] = []

        def accept_all() -> None:
            frames: dict[Any, list[Instance]] = {}
            for key, instance in store.all_instances():
                frames.setdefault(key, []).append(instance)
            items.append(edits.accept_frames(frames.items()))

        results = {"accept all: make the edit": timed(accept_all)}
        results["accept all: apply it"] = timed(lambda: store.apply(items[0]))
        results["accept all: undo"] = timed(store.undo)
        results["accept all: redo"] = timed(store.redo)
    return results


MEASURES = {name: work for name, work in list(globals().items()) if name.startswith("measure_")}


def peak_megabytes() -> float:
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 1e6)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    if len(sys.argv) == 3:
        result = {"make_file": make_file, "check_export": check_export, **MEASURES}[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps({"times": result, "peak": peak_megabytes()}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own as well: on Linux a child starts with the peak of its parent.
        subprocess.run([sys.executable, __file__, "make_file", name], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        size = (folder / "labels.json").stat().st_size / 1e6
        print(f"{IMAGES:,} images, {IMAGES * PER_IMAGE:,} instances of 17 points, {size:.0f} MB of JSON\n")
        print("| what | time | of json.load | peak MB |\n|---|---|---|---|")
        base = 0.0
        for measure in MEASURES:
            command = [sys.executable, __file__, measure, name]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            answer = json.loads(done.stdout)
            for what, seconds in answer["times"].items():
                base = base or seconds
                shown = f"{seconds:.2f} s" if seconds > 0.1 else f"{seconds * 1e3:.2f} ms"
                print(f"| {what} | {shown} | {seconds / base:.3g} | {answer['peak']:.0f} |", flush=True)
        subprocess.run(
            [sys.executable, __file__, "check_export", name], check=True, stdout=subprocess.DEVNULL, cwd=ROOT
        )
        print(f"\nproject file {os.path.getsize(folder / 'x.pose') / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
