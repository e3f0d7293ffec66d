"""Lets the readers of other programs read what our writers write; see README.md beside this file.

python tests/peers/run.py PYTHON [PYTHON ...]     interpreters of the environments of the readers
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

FILES = {
    "coco": ("labels.json", "images", "coco"),
    "cvat": ("annotations.xml", "images", "cvat"),
    "yolo": ("yolo", "images", "yolo"),
    "labelme": ("labelme", "images", "labelme"),
    "deeplabcut": ("CollectedData_poseapp.h5", "images", "deeplabcut"),
    "deeplabcut_csv": ("images/CollectedData_poseapp.csv", "images", "deeplabcut"),
    "deeplabcut_video": ("clip.h5", "video", "deeplabcut"),
    "sleap": ("labels.slp", "images", "sleap"),
    "sleap_video": ("clip.slp", "video", "sleap"),
    "sleap_analysis": ("clip.analysis.h5", "video", "sleap_analysis"),
    "nwb": ("clip.nwb", "video", "nwb"),
    "label_studio": ("label_studio.json", "images", "label_studio"),
}
"""Which file is written from which labels in which format."""


def write_files(folder: Path) -> list[str]:
    """Write all files, and ``expected.json``: the poses of the labels, K x 2 with null for absent points."""
    from engine.errors import LabelError
    from engine.formats.registry import WriteOptions, format_named
    from engine.labels import VIDEO, VISIBLE, Instance, LabelReader, Labels
    from tests.engine.formats.made_labels import rich_images, videos

    def only(labels: LabelReader, media: int) -> Labels:
        """Labels of people of one category and media, which every format has."""
        frames = [frame for frame in labels.frames() if frame.media == media]
        positions = {n: frames.index(frame) for n, frame in enumerate(labels.frames()) if frame.media == media}
        for n, frame in enumerate(frames):  # some readers find no images in folders of folders
            name = frame.name.replace("/", "_")
            if name != frame.name:
                shutil.copy(labels.path.parent / frame.name, labels.path.parent / name)
                frames[n] = msgspec.structs.replace(frame, name=name)
        instances = [
            Instance(positions[i.frame], 0, i.keypoints, i.visibility, box=i.box, track=i.track)
            for i in labels.instances()
            if i.frame in positions and i.is_pose and i.category == 0 and not i.is_prediction
        ]
        return Labels(
            frames, instances, labels.categories[:1], [labels.media[media]], path=labels.path,
            image_folder=labels.image_folder, tracks={n: name for n, name in labels.tracks.items() if n < 2},
        )  # fmt: skip

    for name in ("images", "video"):
        (folder / name).mkdir()
    sources = {"images": only(rich_images(folder / "images"), 0), "video": only(videos(folder / "video"), 0)}
    assert sources["video"].media[0].type == VIDEO
    expected = {}
    for name, labels in sources.items():
        poses, seen, coordinates = [], [], []
        for instance in labels.instances():
            assert instance.keypoints is not None
            assert instance.visibility is not None
            points = list(zip(instance.keypoints.tolist(), instance.visibility.tolist()))
            poses.append([p if v else None for p, v in points])
            coordinates.append(instance.keypoints.tolist())
            seen.append([p if v == VISIBLE else None for p, v in points])
        expected[name] = {"poses": poses, "seen": seen, "all": coordinates, "frames": len(list(labels.frames()))}
    (folder / "expected.json").write_text(json.dumps(expected))
    missing = []
    for name, (path, source, format) in FILES.items():
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            writer = format_named(format)
            writer.write(sources[source], folder / path, WriteOptions(images="copy"))
        except LabelError as error:
            missing.append(f"{name}: {error}")
    return missing


def main(pythons: list[str]) -> int:
    results: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for line in write_files(folder):
            sys.stdout.write(f"not written: {line}\n")
        for python in pythons:
            output = folder / "results.json"
            output.unlink(missing_ok=True)
            subprocess.run([python, str(HERE / "readers.py"), str(folder), str(output)], cwd=folder, check=False)
            if output.exists():
                for reader, cells in json.loads(output.read_text()).items():
                    results.setdefault(reader, {}).update(cells)
    for reader, cells in results.items():
        for file, cell in cells.items():
            sys.stdout.write(f"{reader:28} {file:18} {cell}\n")
    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False)
    (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
    return 0 if all(cell.startswith("equal") for cells in results.values() for cell in cells.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
