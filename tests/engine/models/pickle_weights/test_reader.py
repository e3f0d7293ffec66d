"""Foreign weights files: what is read, and what is refused before it can do or cost anything."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.errors import ModelError
from engine.models.pickle_weights.allowed_globals import PickledArray, PickledDtype
from engine.models.pickle_weights.reader import ForeignCheckpoint, read_foreign

SAMPLES = ("mm0x_layout_small.pth", "mm1x_published_small.pth", "mm1x_training_small.pth")
BOTH_CONTAINERS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def _save(path: Path, content: object, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def _legacy_with(path: Path, code: bytes, keys: list[str] | None = None, tail: bytes = b"") -> Path:
    """A file of the older format whose content is the pickle ``code``."""
    start = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
        pickle.dump(value, start, protocol=2)
    path.write_bytes(start.getvalue() + code + pickle.dumps(keys or [], protocol=2) + tail)
    return path


def _zip_with(path: Path, code: bytes, storages: dict[str, bytes] | None = None, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        archive.writestr("archive/byteorder", "little")
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", "3\n")
        for name, data in more.items():
            archive.writestr(f"archive/{name}", data)
    return path


def _refused(path: Path, *parts: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_foreign(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))
    assert caught.value.where == str(path)
    for part in parts:
        assert part in caught.value.message


# --- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_the_sums_of_their_tensors(name: str, shared: Path) -> None:
    folder = shared / "parity" / "checkpoints"
    result = read_foreign(folder / name)
    expected = json.loads((folder / "expected_sums.json").read_text())
    state = {key.replace("keypoint_head.", "head."): tensor for key, tensor in result.state_dict.items()}
    assert state.keys() == expected.keys()
    for key, (total, shape) in expected.items():
        assert list(state[key].shape) == shape
        # The sums were taken in float64 of float32 values: only the order of summation differs.
        assert float(state[key].double().sum()) == pytest.approx(total, abs=1e-6)


def test_samples_tell_their_layout_and_what_they_are(shared: Path) -> None:
    old, published, training = (read_foreign(shared / "parity" / "checkpoints" / name) for name in SAMPLES)
    assert (old.layout, published.layout, training.layout) == ("0.x", "1.x", "1.x")
    assert (old.meta["epoch"], old.meta["mmpose_version"]) == (210, "0.8.0")
    for result in (published, training):
        assert result.meta["epoch"] == 1
        assert "backbone" in result.meta["cfg"]
        about = result.meta["dataset_meta"]
        assert about["keypoint_id2name"][16] == "right_ankle"
        assert about["sigmas"][:2] == pytest.approx([0.026, 0.025])
        assert (len(about["keypoint_colors"]), len(about["keypoint_colors"][0])) == (17, 3)
        json.dumps(result.meta)  # nothing but plain values


@BOTH_CONTAINERS
def test_a_training_file_of_either_numpy_is_read(zipped: bool, tmp_path: Path) -> None:
    content = {
        "state_dict": OrderedDict(a=torch.arange(3.0), b=torch.ones(2, dtype=torch.float16), n=torch.tensor(7)),
        "meta": {
            "epoch": 3,
            "best": np.float64(0.5),
            "big_endian": np.array([1, 2], ">i4"),
            "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "flags": np.array([True, False]),
            "empty": np.zeros((0, 2)),
            "texts": np.array(["no number"]),
            "bytes": b"\xff",
            "pairs": [(1, 2), (3, 4)],
        },
        "counts": Counter(a=2),
    }
    path = _save(tmp_path / "w.pth", content, zipped)
    data = path.read_bytes()
    other = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray\x00")
    assert other != data  # the running numpy writes the new name
    for name in ("numpy._core.multiarray", "numpy.core.multiarray"):
        result = read_foreign(_with_numpy(path, name) if zipped else path)
        assert {key: tensor.dtype for key, tensor in result.state_dict.items()} == {
            "a": torch.float32, "b": torch.float32, "n": torch.int64,
        }  # fmt: skip
        assert result.meta == {
            "epoch": 3, "best": 0.5, "big_endian": [1, 2], "columns": [[0, 1, 2], [3, 4, 5]], "flags": [True, False],
            "empty": [], "texts": None, "pairs": [(1, 2), (3, 4)],
        }  # fmt: skip


def _with_numpy(path: Path, module: str) -> Path:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    changed = path.with_name("renamed.pth")
    with zipfile.ZipFile(changed, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data.replace(b"cnumpy._core.multiarray\n", f"c{module}\n".encode()))
    return changed


@BOTH_CONTAINERS
def test_wrappers_and_the_data_preprocessor_are_taken_off(zipped: bool, tmp_path: Path) -> None:
    state = {"module.data_preprocessor.mean": torch.zeros(3), "module.head.w": torch.ones(2)}
    result = read_foreign(_save(tmp_path / "w.pth", {"state_dict": state}, zipped))
    assert list(result.state_dict) == ["head.w"]
    assert result.meta == {}
    assert result.layout == "plain"


@BOTH_CONTAINERS
def test_tensors_are_copies_of_what_they_show(zipped: bool, tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {"view": base[1:, ::2], "turned": base.T, "none": torch.zeros(0, 5), "parameter": torch.nn.Parameter(base)}
    path = _save(tmp_path / "w.pth", state, zipped)
    result = read_foreign(path).state_dict
    os.truncate(path, 0)  # nothing is left mapped
    for name, tensor in state.items():
        assert torch.equal(result[name], tensor.detach())
        assert result[name].is_contiguous()
        assert not result[name].requires_grad
    assert len({tensor.data_ptr() for tensor in result.values() if tensor.numel()}) == 3


NUMBERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    names=st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True),
    shape=st.lists(st.integers(0, 3), max_size=3),
    meta=st.dictionaries(st.text(max_size=5), NUMBERS, max_size=4),
    zipped=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_torch_saves_is_read(
    names: list[str], shape: list[int], meta: dict[str, Any], zipped: bool, tmp_path: Path
) -> None:
    # "x." keeps made-up names clear of prefixes that are taken off.
    state = {f"x.{name}": torch.full(shape, float(index)) for index, name in enumerate(names)}
    result = read_foreign(_save(tmp_path / "any.pth", {"state_dict": state, "meta": meta}, zipped))
    assert result.meta == meta
    assert result.state_dict.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(result.state_dict[name], tensor)


def test_the_allowed_names_are_forgotten_after_the_file(shared: Path, tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    read_foreign(shared / "parity" / "checkpoints" / SAMPLES[2])
    _refused(_save(tmp_path / "w.pth", {"a": _Call(eval, "1")}))
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(shared / "parity" / "checkpoints" / SAMPLES[2], weights_only=True)


# --- pickles that want to do something -----------------------------------------------------------------------------


class _Call:
    """Calls a function when unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.function, self.arguments


def _evil(function: Callable[..., Any], *arguments: object) -> object:
    return {"state_dict": {"a": torch.zeros(1)}, "meta": _Call(function, *arguments)}


@BOTH_CONTAINERS
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda marker: _evil(os.system, f"touch {marker}"), f"{os.name}.system"),
        (lambda marker: _evil(eval, f"open({str(marker)!r}, 'w')"), "builtins.eval"),
        (lambda marker: _evil(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
        (lambda marker: _evil(__import__, "os"), "import__"),
        (lambda marker: _evil(getattr, _Call(__import__, "os"), "system"), "import__"),
        (lambda marker: _evil(getattr, [], "append"), "builtins.getattr(list, 'append')"),
        (lambda marker: _evil(np.load, str(marker), "r", True), "numpy"),
        (lambda marker: _evil(np.fromfile, str(marker)), "numpy"),
        (lambda marker: _evil(torch.hub.load, "someone/something", "model"), "torch.hub.load"),
        (lambda marker: _evil(torch.load, str(marker), None), "torch.serialization.load"),
        (lambda marker: _evil(torch.jit.load, str(marker)), "torch.jit._serialization.load"),
        (lambda marker: _evil(torch.empty, (10**12,)), "torch._C._VariableFunctionsClass"),
        (lambda marker: _evil(pickle.loads, b"N."), "pickle.loads"),
        (lambda marker: _evil(bytearray, 10**12), "builtins.bytearray"),
        (lambda marker: _evil(shutil.rmtree, str(marker.parent)), "shutil.rmtree"),
        (lambda marker: {"a": torch.nn.Linear(1, 1)}, "torch.nn.modules.linear.Linear"),
    ],
)  # fmt: skip
def test_whatever_a_pickle_asks_for_is_refused_by_name(
    zipped: bool, make: Callable[[Path], object], name: str, tmp_path: Path
) -> None:
    marker = tmp_path / "it_ran"
    _refused(_save(tmp_path / "evil.pth", make(marker), zipped), name, "refused")
    assert not marker.exists()


HISTORY = b"cmmengine.logging.history_buffer\nHistoryBuffer\n"


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        # Attributes of the one class whose methods may be named, leading elsewhere.
        (b"c__builtin__\ngetattr\n" + HISTORY + _text("__init__") + b"\x86R", "__init__"),
        (b"c__builtin__\ngetattr\n" + HISTORY + _text("mean") + b"N\x87R", "getattr"),
        (b"c__builtin__\ngetattr\ncposix\nsystem\n" + _text("__call__") + b"\x86R", "posix.system"),
        (b"c__builtin__\ngetattr\ncnumpy\nndarray\n" + _text("tofile") + b"\x86R", "getattr(numpy.ndarray, 'tofile')"),
        # Calling what getattr gave (nothing), what is a text, or a class.
        (b"c__builtin__\ngetattr\n" + HISTORY + _text("mean") + b"\x86R)R", "calling NoneType"),
        (_text("system") + b")R", "calling str"),
        (HISTORY + b")R", "HistoryBuffer"),
        (HISTORY + b"N\x85\x81", "HistoryBuffer"),
        (b"cnumpy\nndarray\n)R", "numpy.ndarray"),
        (b"cnumpy\nndarray\n)\x81", "numpy.ndarray"),
        (b"cnumpy.core.multiarray\n_reconstruct\n" + HISTORY + b"K\x00\x85" + _text("b") + b"\x87R", "HistoryBuffer"),
        (b"cnumpy.core.multiarray\nscalar\n" + _text("f8") + _text("x") + b"\x86R", "numpy scalar"),
        (b"cnumpy\ndtype\n(lR", "calling numpy.dtype"),
        # Codecs: one that doubles its input at each turn, one that packs, one that would be imported.
        (b"c_codecs\nencode\n" + _text("00") + _text("hex") + b"\x86R", "_codecs.encode with codec 'hex'"),
        (b"c_codecs\nencode\n" + _text("a") + _text("zlib") + b"\x86R", "'zlib'"),
        (b"c_codecs\nencode\n" + _text("a") + _text("os.path") + b"\x86R", "'os.path'"),
        (b"c__builtin__\nbytes\nM\xff\xff\x85R", "builtins.bytes"),
        # States given to what must not have one.
        (b"ccollections\nOrderedDict\n)R}" + _text("items") + b"Nsb", "state of OrderedDict"),
        (b"}}" + _text("a") + b"Nsb", "state of dict"),
        (HISTORY + b"}b", "state of mmengine"),
        (b"K\x01K\x02a", "appending to int"),
        (HISTORY + _text("mean") + b"Ns", "setting items of mmengine"),
        # Stored objects that are no storages, old instructions, and those of later protocols.
        (_text("a") + b"Q", "a persistent str"),
        (b"(i" + b"os\nsystem\n", "os.system"),
        (b"\x8c\x02os\x8c\x06system\x93", "os.system"),
        (b"ctorch._utils\n_rebuild_parameter\nN\x85R", "_rebuild_parameter of NoneType"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n", "torch._tensor._rebuild_from_type_v2"),
        (b"ctorch._utils\n_rebuild_wrapper_subclass\n", "torch._utils._rebuild_wrapper_subclass"),
    ],
)  # fmt: skip
@BOTH_CONTAINERS
def test_abuse_of_allowed_names_is_refused(zipped: bool, code: bytes, name: str, tmp_path: Path) -> None:
    write = _zip_with if zipped else _legacy_with
    if code.endswith(b"(lR"):  # protocol 0 spelling of a list is no instruction of torch's
        name = "LIST"
    _refused(write(tmp_path / "evil.pth", b"\x80\x02" + code + b"."), name)


@pytest.mark.parametrize("protocol", range(6))
def test_a_bare_pickle_is_refused(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "bare.pth"
    path.write_bytes(pickle.dumps({"a": [1, 2]}, protocol=protocol))
    _refused(path, "not a PyTorch weights file")
    marker = tmp_path / "it_ran"
    path.write_bytes(pickle.dumps(_Call(os.system, f"touch {marker}"), protocol=protocol))
    _refused(path, f"{os.name}.system" if protocol >= 2 else "not a PyTorch weights file")
    assert not marker.exists()


def test_a_program_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = _zip_with(tmp_path / "script.pt", b"\x80\x02}.", **{"constants.pkl": b"\x80\x02)."})
    _refused(path, "TorchScript")


def test_another_protocol_is_refused_with_advice(tmp_path: Path) -> None:
    _refused(_zip_with(tmp_path / "w.pth", pickle.dumps({"a": 1}, protocol=4)), "protocol 4", "save it")


# --- files that cost too much --------------------------------------------------------------------------------------


def test_a_compressed_archive_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    _refused(path, "compressed", "refused unread")


def test_entries_that_overlap_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10_000))
        remaining = archive.getinfo("archive/data/0")
        for index in range(1, 50):
            twin = zipfile.ZipInfo(f"archive/data/{index}")
            for name in ("header_offset", "CRC", "file_size", "compress_size"):
                setattr(twin, name, getattr(remaining, name))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    _refused(path, "refused unread")


def _tensor(
    key: str, numel: int, size: list[int], stride: list[int], offset: int = 0, kind: str = "Float", view: bytes = b""
) -> bytes:
    """Pickle code of one tensor, as torch writes it."""

    def number(value: int) -> bytes:
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data

    def numbers(values: list[int]) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    storage = b"(" + _text("storage") + f"ctorch\n{kind}Storage\n".encode() + _text(key) + _text("cpu") + number(numel)
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"tQ" + number(offset) + numbers(size)
        + numbers(stride)
        + b"\x89" + hooks + b"tR"
    )  # fmt: skip


VIEWS = (b"", b"N")  # what the older format has behind a storage's size


def _state(*tensors: bytes) -> bytes:
    return b"\x80\x02}(" + b"".join(_text(f"t{n}") + tensor for n, tensor in enumerate(tensors)) + b"u."


def test_hand_written_tensors_are_read(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4").tobytes()
    code, old_code = (_state(_tensor("0", 6, [2, 3], [3, 1], view=view)) for view in VIEWS)
    for path in (
        _zip_with(tmp_path / "a.pth", code, {"0": values}),
        _legacy_with(tmp_path / "b.pth", old_code, ["0"], struct.pack("<q", 6) + values),
    ):
        assert read_foreign(path).state_dict["t0"].tolist() == [[0, 1, 2], [3, 4, 5]]


Sizes = dict[str, Any]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([{"numel": 10**15, "size": [10**15]}], "declares"),
        ([{"numel": 2**62, "size": [1], "kind": "Double"}], "declares"),
        ([{"size": [10**12]}], "declares 1,000,000,000,000 values, the file holds 6"),
        ([{"size": [10**9, 10**9], "stride": [0, 0]}], "declares"),
        ([{"size": [7], "stride": [0]}], "declares"),
        ([{"size": [2], "stride": [10**6]}], "declares"),
        ([{"size": [1], "offset": 6}], "declares"),
        ([{}, {"numel": 3, "size": [3], "kind": "Double"}], "two ways"),
        ([{"size": [-1]}], "described wrongly"),
        ([{"stride": [-1]}], "described wrongly"),
        ([{"offset": -1}], "described wrongly"),
        ([{"numel": -6}], "described wrongly"),
        ([{"stride": [1, 1]}], "described wrongly"),
        ([{"key": "1"}], "storage"),
        ([{"key": "../../0"}], "storage"),
    ],
)
def test_sizes_that_the_file_does_not_hold_are_refused(tensors: list[Sizes], reason: str, tmp_path: Path) -> None:
    whole: Sizes = {"key": "0", "numel": 6, "size": [6], "stride": [1]}
    values = bytes(24)
    code, old_code = (_state(*(_tensor(**{**whole, **change, "view": view}) for change in tensors)) for view in VIEWS)
    _refused(_zip_with(tmp_path / "a.pth", code, {"0": values}), reason)
    _refused(_legacy_with(tmp_path / "b.pth", old_code, ["0"], struct.pack("<q", 6) + values), reason)
    _refused(_legacy_with(tmp_path / "c.pth", code, ["0"], struct.pack("<q", 6) + values))
    _refused(_zip_with(tmp_path / "d.pth", old_code, {"0": values}))


def test_one_tensor_under_many_names_does_not_fill_the_memory(tmp_path: Path) -> None:
    big = torch.zeros(100_000)
    _refused(_save(tmp_path / "w.pth", {str(n): big for n in range(2000)}), "again and again")
    shared = {str(n): big for n in range(3)}
    assert len(read_foreign(_save(tmp_path / "tied.pth", shared)).state_dict) == 3


def test_values_that_double_at_every_turn_are_refused(tmp_path: Path) -> None:
    # Forty pairs, each of twice the one before: as a description, as a key, and as a name that would be shown.
    twice = _text("a") + b"q\x00" + b"h\x00\x86q\x00" * 40
    tensor = _text("state_dict") + b"}" + _text("t") + _tensor("0", 6, [6], [1]) + b"s"
    for index, (code, reason) in enumerate(
        [
            (b"}(" + tensor + _text("meta") + b"}" + _text("x") + twice + b"su", "larger than"),
            (b"}(" + twice + b"Nu", "key of type tuple"),
            (b"c__builtin__\ngetattr\n" + twice + b"q\x01h\x01\x86R", "builtins.getattr(tuple, tuple)"),
            (b"c_codecs\nencode\n" + _text("a") + twice + b"\x86R", "codec tuple"),
            (twice + b"Q", "persistent tuple"),
        ]
    ):
        _refused(_zip_with(tmp_path / f"{index}.pth", b"\x80\x02" + code + b".", {"0": bytes(24)}), reason)


# --- files that are damaged or something else ----------------------------------------------------------------------


@pytest.fixture(params=["zip", "legacy"])
def good(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    state = {f"layer{n}.weight": torch.full((40,), float(n)) for n in range(4)}
    return _save(tmp_path / "good.pth", {"state_dict": state, "meta": {"sigmas": np.ones(3)}}, request.param == "zip")


def test_a_file_cut_short_anywhere_is_refused(good: Path) -> None:
    data = good.read_bytes()
    for share in (0.0, 0.001, 0.005, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999):
        good.write_bytes(data[: int(len(data) * share)])
        _refused(good)
    good.write_bytes(data[:-1])
    _refused(good, "cut short", "download it again")


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), count=st.integers(1, 4))
@example(place=0.9859005157110671, value=128, count=3)  # an offset that no seek takes
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_changed_anywhere_are_read_or_refused(good: Path, place: float, value: int, count: int) -> None:
    changed = good.with_name("changed.pth")
    data = bytearray(good.read_bytes())
    at = int(len(data) * place)
    data[at : at + count] = bytes([value]) * count
    changed.write_bytes(data)
    try:
        assert isinstance(read_foreign(changed), ForeignCheckpoint)
    except ModelError:
        pass


@given(code=st.binary(max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_for_a_pickle_are_refused(code: bytes, tmp_path: Path) -> None:
    _refused(_zip_with(tmp_path / "a.pth", b"\x80\x02" + code))
    _refused(_legacy_with(tmp_path / "b.pth", b"\x80\x02" + code))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for data in (b"", b"<html>not found</html>", bytes(100), b"\x89PNG\r\n", b"PK\x03\x04", b"\x80\x02"):
        path.write_bytes(data)
        _refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    _refused(path, "no data.pkl")
    _refused(tmp_path / "missing.pth", "cannot be read")
    _refused(tmp_path, "cannot be read")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "no named tensors"),
        ([torch.zeros(1)], "no named tensors"),
        ({"state_dict": {"a": torch.zeros(1), "b": 3}}, "'b' is not a tensor"),
        ({1: torch.zeros(1)}, "named by int"),
        (torch.zeros(3), "no named tensors"),
    ],
)
def test_content_that_is_no_state_is_refused(content: object, reason: str, tmp_path: Path) -> None:
    for zipped in (True, False):
        _refused(_save(tmp_path / "w.pth", content, zipped), reason)


@pytest.mark.parametrize("shape", [(10**9, 0), (0, 10**18), (10**9, 10**9, 0), (1 << 62,), (1 << 62, 4)])
def test_an_array_that_announces_more_than_it_holds_takes_no_memory(shape: tuple[int, ...]) -> None:
    array = PickledArray()
    array.__setstate__((1, shape, PickledDtype("f4"), False, b""))
    assert array.values() in ([], None)
