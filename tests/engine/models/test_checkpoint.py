"""Our checkpoints: round trips, headers that lie, clear refusals; foreign files that must not run anything."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ModelError
from engine.models.checkpoint import (
    load_checkpoint,
    load_network,
    load_state,
    network_from,
    read_weights,
    save_checkpoint,
)
from engine.models.metadata import FORMAT_VERSION, MAX_HEADER_BYTES, CheckpointInfo, read_header, read_info
from engine.networks.movenet import MoveNetHeatmap

SCHEMA = {"name": "pair", "category": "fly", "keypoints": [{"name": "head"}, {"name": "tail"}]}
POSE = CheckpointInfo(
    task="pose",
    architecture="movenet_heatmap",
    arguments={"width": "lightning", "num_keypoints": 2},
    schema=SCHEMA,
    codec={"name": "gaussian", "sigma": 1.7},
    input_size=(192, 128),
    categories=["fly"],
    detector="detector.safetensors",
    metrics={"mean_px": 1.9},
    provenance={"seed": 3},
)


@pytest.fixture(scope="module")
def network() -> MoveNetHeatmap:
    torch.manual_seed(0)
    return MoveNetHeatmap("lightning", 2)


@pytest.fixture
def saved(network: MoveNetHeatmap, tmp_path: Path) -> Path:
    path = tmp_path / "fly.safetensors"
    save_checkpoint(path, network.state_dict(), POSE)
    return path


# --- round trips ---------------------------------------------------------------------------------------------------


def test_description_and_weights_come_back_exactly(network: MoveNetHeatmap, saved: Path) -> None:
    info, state = load_checkpoint(saved)
    assert info == POSE
    assert read_info(saved) == POSE
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_a_loaded_network_is_in_evaluation_mode_and_trainable(network: MoveNetHeatmap, saved: Path) -> None:
    loaded, info = load_network(saved)
    assert info == POSE
    assert not loaded.training
    assert all(p.requires_grad and not p.is_meta for p in loaded.parameters())
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), network.eval()(x), atol=1e-4, rtol=1e-3)


def test_a_checkpoint_can_be_replaced_while_its_weights_are_in_use(saved: Path) -> None:
    _, state = load_checkpoint(saved)
    before = state["backbone.stem.weight"].clone()
    save_checkpoint(saved, {name: torch.zeros_like(tensor) for name, tensor in state.items()}, POSE)
    assert torch.equal(state["backbone.stem.weight"], before)
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize(("storage", "share", "error"), [("float16", 0.52, 1e-3), ("int8", 0.30, 1e-2)])
def test_smaller_storage_keeps_kernels_close_and_vectors_exact(
    storage: Any, share: float, error: float, network: MoveNetHeatmap, saved: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.safetensors"
    save_checkpoint(small, network.state_dict(), POSE, storage=storage)
    assert small.stat().st_size < share * saved.stat().st_size
    _, state = load_checkpoint(small)
    for name, tensor in network.state_dict().items():
        assert state[name].dtype == torch.float32
        if tensor.dim() < 3:
            assert torch.equal(state[name], tensor), name
        else:
            assert (state[name] - tensor).abs().max() <= error * tensor.abs().max(), name


def test_int8_kernels_are_exact_for_weights_that_were_int8_and_for_dead_channels(tmp_path: Path) -> None:
    whole = torch.randint(-126, 127, (4, 3, 3, 3)).float()
    whole[:, 0, 0, 0] = 127
    whole[2] = 0
    kernel = whole * torch.tensor([0.5, 0.03, 1.0, 2e-5])[:, None, None, None]
    save_checkpoint(tmp_path / "k.safetensors", {"kernel": kernel}, POSE, storage="int8")
    torch.testing.assert_close(load_checkpoint(tmp_path / "k.safetensors")[1]["kernel"], kernel, rtol=1e-6, atol=0)


def test_shared_and_channels_last_tensors_are_written(tmp_path: Path) -> None:
    base = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "s.safetensors", {"a": base, "b": base}, POSE)
    _, state = load_checkpoint(tmp_path / "s.safetensors")
    assert torch.equal(state["a"], base)
    assert torch.equal(state["b"], base)


def test_figures_that_are_not_finite_become_null(tmp_path: Path) -> None:
    info = POSE.replace(metrics={"AP": float("nan"), "list": (float("inf"), 1.0), "px": np.float32(1.5)})
    save_checkpoint(tmp_path / "n.safetensors", {"a": torch.zeros(1)}, info)
    assert read_info(tmp_path / "n.safetensors").metrics == {"AP": None, "list": [None, 1.0], "px": 1.5}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(st.text(), JSON, max_size=4)
FIELDS = set(CheckpointInfo.__dataclass_fields__)
INFOS = st.builds(
    CheckpointInfo,
    task=st.just("pose"),
    architecture=st.text(min_size=1),
    arguments=MAPS,
    schema=st.just(SCHEMA),
    codec=MAPS.map(lambda m: {**m, "name": "any"}),
    input_size=st.tuples(st.integers(1, 16384), st.integers(1, 16384)),
    box_padding=st.floats(0.01, 100),
    categories=st.lists(st.text(), max_size=5),
    score_threshold=st.floats(-10, 10),
    detector=st.none() | st.text(min_size=1),
    metrics=MAPS,
    provenance=MAPS,
    extra=st.dictionaries(st.text().filter(lambda name: name not in FIELDS), JSON, max_size=3),
)


@given(INFOS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_description_survives_json(info: CheckpointInfo) -> None:
    text = json.dumps(info.to_dict(), allow_nan=False)
    assert CheckpointInfo.from_dict(json.loads(text)) == info


TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and not name.endswith(".int8_scale")),
    st.tuples(
        st.lists(st.integers(0, 4), max_size=4), st.sampled_from([torch.float32, torch.int64, torch.bool, torch.uint8])
    ),
    max_size=5,
)


@given(tensors=TENSORS, info=INFOS)
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)
def test_every_file_round_trips(tensors: dict[str, Any], info: CheckpointInfo, tmp_path: Path) -> None:
    state = {name: (torch.rand(shape) * 9).to(dtype) for name, (shape, dtype) in tensors.items()}
    path = tmp_path / "any.safetensors"
    save_checkpoint(path, state, info)
    back_info, back = load_checkpoint(path)
    assert back_info == info
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


# --- descriptions --------------------------------------------------------------------------------------------------


def test_entries_of_a_later_program_are_kept(tmp_path: Path) -> None:
    data = {**POSE.to_dict(), "tiling": {"overlap": 0.25}}
    info = CheckpointInfo.from_dict(data)
    save_checkpoint(tmp_path / "later.safetensors", {"a": torch.zeros(1)}, info)
    assert read_info(tmp_path / "later.safetensors").to_dict()["tiling"] == {"overlap": 0.25}


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(ModelError, match="newer version"):
        CheckpointInfo.from_dict({**POSE.to_dict(), "format_version": FORMAT_VERSION + 1})


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("task", "segmentation"), ("architecture", ""), ("architecture", 7), ("arguments", []),
        ("schema", {"name": "x"}),
        ("schema", None), ("codec", {"sigma": 2}), ("codec", {}), ("input_size", [192]), ("input_size", [192, 0]),
        ("input_size", [True, 5]), ("normalisation", {"mean": [1, 2, 3]}),
        ("normalisation", {"mean": [0] * 3, "std": [0] * 3}),
        ("box_padding", 0), ("categories", "person"), ("categories", [1]), ("score_threshold", "high"),
        ("detector", ""),
        ("metrics", None), ("format_version", 0), ("format_version", "1"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named(entry: str, value: object) -> None:
    with pytest.raises(ModelError, match=entry):
        CheckpointInfo.from_dict({**POSE.to_dict(), entry: value}, where="x.safetensors")


@pytest.mark.parametrize("entry", ["task", "architecture", "input_size"])
def test_a_missing_entry_is_named(entry: str) -> None:
    data = POSE.to_dict()
    del data[entry]
    with pytest.raises(ModelError, match=f"'{entry}' is missing"):
        CheckpointInfo.from_dict(data)


# --- headers that lie ----------------------------------------------------------------------------------------------


def _file(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def _one(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"t": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (_one(), b"123", "cut short"),
        (_one(), b"12345", "damaged"),
        (_one(shape=[2]), b"1234", "'t'"),
        (_one(dtype="F99"), b"1234", "unknown number type"),
        (_one(shape=[-1]), b"1234", "'t'"),
        (_one(shape=[10**30]), b"1234", "'t'"),
        (_one(offsets=[4, 8]), b"12345678", "gap"),
        (_one(offsets=[0, "4"]), b"1234", "data_offsets"),
        ({"t": 3}, b"", "no description"),
        ({"__metadata__": {"poseapp": 3}}, b"", "map of strings"),
        ([1, 2], b"", "not a JSON object"),
        (b'{"t": ', b"", "not valid JSON"),
        (b"[" * 100_000, b"", "JSON"),
        (b"\xff\xfe{}", b"", "UTF-8"),
        (b'{"__metadata__": {}, "__metadata__": {}}', b"", "twice"),
        ({**_one(), "u": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, b"1234", "overlaps"),
    ],
)
def test_a_header_that_lies_is_refused(header: object, data: bytes, message: str, tmp_path: Path) -> None:
    path = _file(tmp_path / "lie.safetensors", header, data)
    with pytest.raises(ModelError, match=message) as caught:
        read_header(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("length", [MAX_HEADER_BYTES + 1, 2**64 - 1, 0, 1, 1000])
def test_an_announced_length_is_not_believed(length: int, tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(ModelError):
        read_header(path)


@given(data=st.binary(max_size=200))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_refused_as_a_model_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(data)
    for read in (read_info, load_checkpoint, read_weights):
        with pytest.raises(ModelError):
            read(path)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_refused_at_every_length(share: float, saved: Path) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"cut short|fewer than 8"):
        load_checkpoint(saved)


# --- weights that do not fit ---------------------------------------------------------------------------------------


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelError, match="cannot be read"):
            load_checkpoint(path)


def test_tensors_without_a_description_are_refused_with_a_hint(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(ModelError, match="--weights"):
        load_checkpoint(tmp_path / "plain.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("neck.lateral8.bias"), r"'neck\.lateral8\.bias' is missing"),
        (
            lambda s: s.update({"neck.lateral8.bias": torch.zeros(7)}),
            r"'neck\.lateral8\.bias' has shape \(7,\), expected \(32,\)",
        ),
        (lambda s: s.update({"neck.lateral9.bias": torch.zeros(7)}), r"no tensor 'neck\.lateral9\.bias'"),
        (lambda s: (s.clear(), s.update({"conv1.weight": torch.zeros(1)})), r"another architecture.*'conv1\.weight'"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_the_first_name(
    change: Callable[[dict[str, torch.Tensor]], object], message: str, network: MoveNetHeatmap, tmp_path: Path
) -> None:
    state = dict(network.state_dict())
    change(state)
    save_checkpoint(tmp_path / "odd.safetensors", state, POSE)
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "odd.safetensors")
    with pytest.raises(ModelError, match=message):
        load_state(network, state)


def test_unknown_architectures_and_arguments_are_refused(network: MoveNetHeatmap) -> None:
    with pytest.raises(ModelError, match=r"'vit'.*movenet"):
        network_from(POSE.replace(architecture="vit"), network.state_dict())
    with pytest.raises(ModelError, match="depth"):
        network_from(POSE.replace(arguments={"depth": 3}), network.state_dict())


def test_an_absurd_size_in_a_description_allocates_nothing(network: MoveNetHeatmap) -> None:
    with pytest.raises(ModelError, match="has shape"):
        network_from(POSE.replace(arguments={"width": "lightning", "num_keypoints": 10**9}), network.state_dict())


def test_other_weights_are_taken_from_every_kind_of_file(network: MoveNetHeatmap, saved: Path, tmp_path: Path) -> None:
    other = {name: torch.full_like(tensor, 0.25) for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(other, tmp_path / "plain.safetensors")
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in other.items()}}, tmp_path / "w.pth")
    save_checkpoint(tmp_path / "own.safetensors", other, POSE)
    for name in ("plain.safetensors", "w.pth", "own.safetensors"):
        loaded, _ = load_network(saved, weights=tmp_path / name)
        assert (loaded.state_dict()["backbone.stem.weight"] == 0.25).all()


def test_weights_of_another_architecture_are_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match=r"holds movenet_heatmap .* the model is movenet "):
        load_network("movenet_lightning", weights=saved)


# --- foreign pickles -----------------------------------------------------------------------------------------------


class _Payload:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "system"), (eval, "eval"), (getattr, "pathlib.PosixPath"), (exec, "exec")]
)
def test_a_pickle_that_wants_to_run_something_is_refused_by_name(
    zipped: bool, function: Callable[..., object], name: str, tmp_path: Path
) -> None:
    marker = tmp_path / "it_ran"
    if function is os.system:
        payload = _Payload(function, f"touch {marker}")
    elif function is getattr:
        payload = _Payload(function, marker, "touch")
    else:
        payload = _Payload(function, f"open({str(marker)!r}, 'w').close()")
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": payload}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=rf"{name}, which .* was refused") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    for read in (read_info, load_checkpoint, load_network):
        with pytest.raises(ModelError):
            read(path)
    with pytest.raises(ModelError):
        load_network("movenet_lightning", weights=path)
    assert not marker.exists()


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"
    path = tmp_path / "plain.pth"
    path.write_bytes(pickle.dumps(_Payload(os.system, f"touch {marker}")))
    with pytest.raises(ModelError):
        read_weights(path)
    assert not marker.exists()


def test_published_layouts_with_numpy_metadata_are_read(tmp_path: Path) -> None:
    content = {
        "state_dict": OrderedDict({"a": torch.arange(3.0)}),
        "meta": {"sigmas": np.array([0.1, 0.2]), "flip": np.array([1, 0]), "config": "text"},
    }
    for zipped in (True, False):
        torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
        assert read_weights(tmp_path / "w.pth")["a"].tolist() == [0, 1, 2]


def test_sample_checkpoints_of_the_field_are_read(shared: Path) -> None:
    folder = shared / "parity" / "checkpoints"
    for name in ("mm0x_layout_small.pth", "mm1x_published_small.pth", "mm1x_training_small.pth"):
        assert all(isinstance(tensor, torch.Tensor) for tensor in read_weights(folder / name).values())


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.pth"
    torch.save({"a": torch.zeros(1000)}, good)
    data = good.read_bytes()
    path = tmp_path / "bad.pth"
    for content in (data[: len(data) // 2], data[:40], b"PK\x03\x04" + b"garbage" * 50, b"\x80\x02garbage"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"damaged|refused"):
            read_weights(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"not a pickle")
    with pytest.raises(ModelError):
        read_weights(path)


@pytest.mark.parametrize(
    "content", [[1, 2], {"epoch": 3}, {"state_dict": {"a": torch.zeros(1), "b": "text"}}, torch.zeros(2)]
)
def test_files_without_named_tensors_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"no named tensors|'b' is not a tensor"):
        read_weights(tmp_path / "w.pth")


def test_reading_a_description_imports_neither_torch_nor_numpy(saved: Path) -> None:
    code = (
        "import sys; from engine.models.metadata import read_info; "
        f"read_info({str(saved)!r}); print(sorted({{'torch', 'numpy', 'safetensors'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def test_the_key_of_the_normalization_in_files_is_that_of_version_0_1() -> None:
    written = POSE.replace(normalization={"mean": [1.0] * 3, "std": [2.0] * 3}).to_dict()
    assert written["normalisation"] == {"mean": [1.0] * 3, "std": [2.0] * 3}
    assert "normalization" not in written
    assert CheckpointInfo.from_dict(written).to_dict() == written
