"""Fine-tuning on the open-field mouse with the default command: pixels of error with given boxes, from ten frames, and
end to end without any boxes.

    python tests/benchmarks/bench_mouse.py [--data FOLDER] [--keep FOLDER] [--only NAME,...]

Runs the commands a person would type, in processes of their own, and prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from mouse_data import read_rows, splits, write_coco

from engine.formats.coco.dataset import CocoDataset

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = Path(os.environ.get("POSEAPP_TEST_DATA", ROOT.parent / "shared")) / "data" / "openfield-mouse"


def call(module: str, *arguments: object) -> float:
    """Run ``python -m module`` and return its seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True, cwd=ROOT)
    return time.perf_counter() - started


def best_of_each_image(predicted: Path, out: Path) -> None:
    """Keep the detection with the highest score of every image."""
    data = CocoDataset.read(predicted)
    best: dict[Any, Any] = {}
    for record in data.annotations:
        if record.image_id not in best or (record.score or 0) > (best[record.image_id].score or 0):
            best[record.image_id] = record
    data.annotations = list(best.values())
    data.write(out)


def figures(annotations: Path, results: Path, out: Path) -> dict[str, Any]:
    call("engine.evaluate", "--annotations", annotations, "--results", results, "--out", out)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def curves(log: Path) -> str:
    lines = ["| network | epoch | train loss | val loss | figures | seconds |", "|---|---|---|---|---|---|"]
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "epoch":
            shown = ", ".join(f"{name} {value:.3g}" for name, value in event["metrics"].items())
            star = " *" if event["best"] else ""
            losses = f"{event['train_loss']:.4f} | {event['val_loss']:.4f}"
            lines.append(f"| {event['what']} | {event['epoch']}{star} | {losses} | {shown} | {event['seconds']} |")
    return "\n".join(lines)


def measure(name: str, data: Path, train: Path, test: Path, folder: Path) -> tuple[list[str], str]:
    """One row for given boxes and one for none, and the curves."""
    out = folder / name
    before = os.getloadavg()[0]
    seconds = call(
        "engine.train", "--train", train, "--images", data, "--model", "movenet_lightning", "--out", out,
        "--progress", "none",
    )  # fmt: skip
    pose = max(
        event["seconds"] for line in (out / "log.jsonl").read_text().splitlines()
        if (event := json.loads(line))["event"] == "epoch" and event["what"] == "pose"
    )  # fmt: skip
    rows = []
    for boxes in ("gt", "none"):
        predicted = folder / f"{name}-{boxes}.json"
        given = ["--boxes", "gt"] if boxes == "gt" else []
        common = ["--annotations", test, "--out", predicted, "--model", out / "best.safetensors", "--progress", "none"]
        call("engine.predict", data, *common, *given)
        best_of_each_image(predicted, predicted)
        result = figures(test, predicted, folder / "figures.json")
        count = len(CocoDataset.read(train).annotations)
        rows.append(
            f"| {name} | {count} / {result['instances']} | {'given' if boxes == 'gt' else 'result'} "
            f"| {result['EPE']:.2f} | {result['median_px']:.2f} | {result['PCK@0.2']:.3f} | {result['missed']} "
            f"| {pose:.0f} | {seconds:.0f} | {before:.1f} |"
        )
    return rows, curves(out / "log.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--keep", type=Path, help="leave all files here")
    parser.add_argument("--only", default="random,first,ten")
    options = parser.parse_args()
    schema, rows = read_rows(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chosen = splits(len(rows))
        chosen["ten"] = (chosen["random"][0][::7], chosen["random"][1])
        lines, shown = [], []
        for name in options.only.split(","):
            parts = [folder / f"{name}-{kind}.json" for kind in ("train", "test")]
            for file, positions in zip(parts, chosen[name], strict=True):
                write_coco(file, options.data, schema, [rows[i] for i in positions])
            result, curve = measure(name, options.data, *parts, folder)
            lines += result
            shown.append(f"\n{name}\n\n{curve}")
    print("\n".join(shown))
    print("\n| split | train / test | boxes | mean px | median px | PCK@0.2 | missed | pose s | all s | load before |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
