"""The model list: embedded table, the user's own folder, lookups and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import ModelError
from engine.models import catalog
from engine.models.checkpoint import save_checkpoint
from engine.models.metadata import CheckpointInfo, read_info
from engine.networks import build, find_network
from engine.schema.schema import load_schema, schema_from_dict

ROOT = Path(__file__).resolve().parents[3]
EMBEDDED = ["movenet_thunder", "movenet_lightning", "efficientdet_lite0"]
PUBLISHED = 34 + 7  # 31 rows of the model zoo, the three UDP rows as they were meant, and detectors
FLY = CheckpointInfo(
    task="pose",
    architecture="movenet_heatmap",
    arguments={"width": "lightning", "num_keypoints": 1},
    schema={"name": "fly", "keypoints": [{"name": "head"}]},
    codec={"name": "gaussian"},
    input_size=(192, 192),
    detector="detector.safetensors",
    metrics={"mean_px": 2.0},
    provenance={"licence": "CC0-1.0"},
)
FLY_DETECTOR = CheckpointInfo(
    task="detector", architecture="efficientdet", arguments={"num_classes": 1}, categories=["fly"]
)


def _save(path: Path, info: CheckpointInfo) -> Path:
    save_checkpoint(path, {"a": torch.zeros(1)}, info)
    return path


@pytest.mark.parametrize(
    "entry", catalog.list_models(user_dir=Path("none"), available=True), ids=lambda entry: entry.id
)
def test_every_row_agrees_with_its_checkpoint(entry: catalog.ModelEntry) -> None:
    assert entry.file is not None
    info = read_info(entry.file)
    assert (info.task, info.architecture, info.input_size) == (entry.task, entry.architecture, entry.input_size)
    assert find_network(entry.architecture).task == entry.task
    assert info.provenance["licence"] == entry.licence == "Apache-2.0"
    assert (info.schema or {"name": ""})["name"] == entry.schema
    assert info.detector == entry.detector
    if entry.task == "pose":
        assert info.schema is not None
        assert len(info.schema["keypoints"]) == info.arguments["num_keypoints"]
    else:
        assert len(info.categories) == info.arguments["num_classes"]
    with torch.device("meta"):
        build(info.architecture, info.arguments)


def test_embedded_schema_is_the_built_in_one(resources_dir: Path) -> None:
    built_in = load_schema(resources_dir / "schemas" / "coco.toml")
    for name in ("movenet_thunder", "movenet_lightning"):
        data = read_info(resources_dir / "models" / f"{name}.safetensors").schema
        assert data is not None
        schema = schema_from_dict(data)
        assert schema.names == built_in.names
        assert schema.flip_indices.tolist() == built_in.flip_indices.tolist()
        assert schema.sigmas.tolist() == built_in.sigmas.tolist()
        assert schema.limb_indices.tolist() == built_in.limb_indices.tolist()


def test_detector_slots_are_coco_ids_minus_one(resources_dir: Path) -> None:
    names = read_info(resources_dir / "models" / "efficientdet_lite0.safetensors").categories
    assert len(names) == 90
    assert len([name for name in names if name]) == 80
    expected = {1: "person", 16: "bird", 17: "cat", 25: "giraffe", 44: "bottle", 90: "toothbrush"}
    assert {i: names[i - 1] for i in expected} == expected
    assert [i + 1 for i, name in enumerate(names) if not name] == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def test_the_list_is_the_table_then_the_users_models(tmp_path: Path) -> None:
    _save(tmp_path / "zebrafish.safetensors", FLY)
    _save(tmp_path / "Bees" / "best.safetensors", FLY)
    _save(tmp_path / "Bees" / "last.safetensors", FLY)
    _save(tmp_path / "Bees" / "detector.safetensors", FLY_DETECTOR)
    _save(tmp_path / "movenet_thunder.safetensors", FLY)
    _save(tmp_path / ".hidden" / "best.safetensors", FLY)
    (tmp_path / "notes.txt").write_text("mine")
    entries = catalog.list_models(user_dir=tmp_path, available=True)
    assert [e.id for e in entries] == [*EMBEDDED, "Bees", "Bees/detector", "user/movenet_thunder", "zebrafish"]
    detectors = catalog.list_models("detector", tmp_path, available=True)
    assert [e.id for e in detectors] == ["efficientdet_lite0", "Bees/detector"]
    bees = catalog.find_model("Bees", tmp_path)
    assert (bees.source, bees.schema, bees.input_size, bees.licence) == ("user", "fly", (192, 192), "CC0-1.0")
    assert bees.metrics == {"mean_px": 2.0}
    assert bees.detector == str(tmp_path / "Bees" / "detector.safetensors")
    assert bees.file == tmp_path / "Bees" / "best.safetensors"


def test_the_models_folder_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path))
    assert catalog.user_models_dir() == tmp_path
    _save(tmp_path / "fly.safetensors", FLY)
    assert catalog.find_model("fly").file == tmp_path / "fly.safetensors"


def test_a_models_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert [e.id for e in catalog.list_models(user_dir=tmp_path / "none", available=True)] == EMBEDDED


def test_unreadable_files_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    _save(tmp_path / "fly.safetensors", FLY)
    assert [e.id for e in catalog.list_models(user_dir=tmp_path, available=True)] == [*EMBEDDED, "fly"]
    assert "broken.safetensors" in caplog.text


def test_a_file_or_a_training_folder_is_a_model(tmp_path: Path) -> None:
    path = _save(tmp_path / "run 1" / "best.safetensors", FLY)
    for given in (path, str(path), path.parent):
        entry = catalog.find_model(given)
        assert (entry.file, entry.title) == (path, "run 1")


def test_a_detector_beside_the_file_wins_over_the_table(tmp_path: Path) -> None:
    path = _save(tmp_path / "fly.safetensors", FLY.replace(detector="efficientdet_lite0"))
    assert catalog.find_model(path).detector == "efficientdet_lite0"
    beside = _save(tmp_path / "efficientdet_lite0", FLY_DETECTOR)
    assert catalog.find_model(path).detector == str(beside)


@pytest.mark.parametrize("name", ["../detector.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_a_description_cannot_point_out_of_its_folder(name: str, tmp_path: Path) -> None:
    _save(tmp_path / "detector.safetensors", FLY_DETECTOR)
    assert catalog.find_model(_save(tmp_path / "run" / "best.safetensors", FLY.replace(detector=name))).detector is None


def test_an_unknown_name_lists_what_exists() -> None:
    with pytest.raises(ModelError, match="no model 'xyz'; models: movenet_thunder, movenet_light"):
        catalog.find_model("xyz")
    with pytest.raises(ModelError, match="'movenet_litening'; did you mean 'movenet_lightning'\\? models: mov"):
        catalog.find_model("movenet_litening")
    with pytest.raises(ModelError, match="no such file"):
        catalog.find_model("runs/fly.safetensors")


def test_a_folder_without_a_model_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a folder without best\.safetensors"):
        catalog.find_model(tmp_path)


def test_a_schema_narrows_the_list() -> None:
    ids = [entry.id for entry in catalog.list_models("pose", schema="coco", available=True)]
    assert ids == ["movenet_thunder", "movenet_lightning"]


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The tables and headers that are read from now on."""
    read: list[Path] = []
    for cache in (catalog._TABLES, catalog._USER_HEADERS):
        original = cache._read

        def spy(path: Path, original: Any = original) -> Any:
            read.append(path)
            return original(path)

        monkeypatch.setattr(cache, "_read", spy)
        monkeypatch.setattr(cache, "_contents", {})
    return read


def test_files_are_read_once_and_again_when_they_change(tmp_path: Path, files_read: list[Path]) -> None:
    fly, broken = _save(tmp_path / "fly.safetensors", FLY), tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    for _ in range(3):
        catalog.list_models(user_dir=tmp_path)
        catalog.find_model("fly", tmp_path)
    assert sorted(path.name for path in files_read) == ["broken.safetensors", "fly.safetensors", "models.toml"]
    files_read.clear()
    _save(fly, FLY.replace(metrics={"mean_px": 1.5}))
    assert catalog.find_model("fly", tmp_path).metrics == {"mean_px": 1.5}
    assert files_read == [fly]
    files_read.clear()
    _save(broken, FLY)
    assert [entry.id for entry in catalog.list_models(user_dir=tmp_path, available=True)][3:] == ["broken", "fly"]
    fly.unlink()
    assert [entry.id for entry in catalog.list_models(user_dir=tmp_path, available=True)][3:] == ["broken"]
    assert files_read == [broken]


def test_downloaded_weights_are_noticed_without_reading_the_table_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files_read: list[Path]
) -> None:
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path))
    entry = catalog.find_model("coco_res50_256x192")
    assert entry.file is None
    assert entry.weights_file is not None
    entry.weights_file.write_bytes(b"weights")
    assert catalog.find_model("coco_res50_256x192").file == entry.weights_file
    assert [path.name for path in files_read] == ["models.toml"]


ROW = 'id="a"\ntitle="A"\ntask="pose"\narchitecture="x"\nfile="a"\ninput_size=[1, 2]\nlicence="MIT"\nuse="u"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]]\n" + ROW.replace('task="pose"', 'task="poses"'), "'a': task must be"),
        ("[[model]]\n" + ROW.replace('licence="MIT"\n', ""), "'licence' is missing"),
        ("[[model]]\n" + ROW + "speed = 3", "unknown entry 'speed'"),
        ("[[model]]\n" + ROW.replace("[1, 2]", "[1]"), "input_size"),
        ("[[model]]\n" + ROW.replace("[1, 2]", "7"), "input_size"),
        (f"[[model]]\n{ROW}[[model]]\n{ROW}", "duplicate id"),
        ("[[model", "not valid TOML"),
    ],
)
def test_a_wrong_table_is_refused_by_row(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        catalog.read_table(path)


# --- command line --------------------------------------------------------------------------------------------------


def _command(*arguments: str, models: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.zoo", *arguments]
    environment = {**os.environ, "POSEAPP_MODELS": str(models)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def test_the_command_prints_an_aligned_table(tmp_path: Path) -> None:
    _save(tmp_path / "fly.safetensors", FLY)
    done = _command("list", models=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + len(EMBEDDED) + PUBLISHED + 1
    column = lines[0].index("TASK")
    assert {line[column:].split()[0] for line in lines[1:]} == {"pose", "detector"}
    assert "mean_px 2" in lines[-1]


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = _command("list", "--json", "--task", "pose", models=tmp_path)
    rows = json.loads(done.stdout)
    assert [row["id"] for row in rows][:2] == EMBEDDED[:2]
    assert len(rows) == 2 + 34
    assert rows[0]["input_size"] == [256, 256]
    assert Path(rows[0]["file"]).is_file()


@pytest.mark.parametrize("arguments", [(), ("lst",), ("list", "--jsn"), ("list", "--task", "faces")])
def test_bad_use_is_one_line_and_status_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = _command(*arguments, models=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_the_list_is_made_without_torch_numpy_or_qt(tmp_path: Path) -> None:
    _save(tmp_path / "fly.safetensors", FLY)
    heavy = "{'torch', 'torchvision', 'numpy', 'safetensors', 'cv2', 'PySide6', 'msgspec'}"
    code = (
        "import sys; from pathlib import Path; from engine import zoo; "
        f"assert len(zoo.list_models(user_dir=Path({str(tmp_path)!r}))) == 45; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
