"""Labels in zip archives: found, unpacked safely, and gone from the disk afterwards."""

from __future__ import annotations

import json
import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest

from engine.convert import main as convert
from engine.errors import Cancelled, LabelError
from engine.formats.archives import is_archive, labels_in, unpack
from engine.formats.registry import find_format, format_for_writing, read_labels, write_labels
from engine.utils.context import Context
from tests.engine.formats.conftest import coco_document, person

DOCUMENT = json.dumps(coco_document([person()]))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def archive_of(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name", ["labels.json", "export/labels.json", "export/annotations/person_keypoints_default.json"]
)
def test_labels_are_found_at_the_top_or_in_folders_below(tmp_path: Path, temporary: Path, name: str) -> None:
    path = archive_of(tmp_path / "a.zip", {name: DOCUMENT, "export/images/a.jpg": b"x", "README.txt": "hello"})
    with read_labels(path) as labels:
        assert labels.num_instances() == len(list(labels.instances())) == 1
        assert [frame.name for frame in labels.frames()] == ["a.jpg", "b.jpg"]
        assert labels.raw_format == "coco"
        assert any(temporary.iterdir())
    assert not any(temporary.iterdir())


def test_a_reader_that_nobody_closes_leaves_nothing_either(tmp_path: Path, temporary: Path) -> None:
    labels = read_labels(archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT}))
    assert labels.num_instances() == 1
    del labels
    assert not any(temporary.iterdir())


def test_a_named_format_is_looked_for_inside(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT, "more/labels.json": DOCUMENT})
    with read_labels(path, format="coco") as labels:
        assert labels.num_instances() == 1
    with pytest.raises(LabelError, match="no labels of the format sleap"):
        read_labels(path, format="sleap")


def test_several_label_files_are_named_and_none_is_chosen(tmp_path: Path, temporary: Path) -> None:
    files = {f"annotations/labels_{name}.json": DOCUMENT for name in ("old", "val")}
    with pytest.raises(LabelError, match=r"several label files, name one: annotations/labels_old.json, .*_val.json"):
        read_labels(archive_of(tmp_path / "a.zip", files))
    assert not any(temporary.iterdir())


def test_an_archive_without_labels_is_of_no_format(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", {"a.jpg": b"x"})
    with pytest.raises(LabelError, match="no known label format"):
        find_format(path)
    with pytest.raises(LabelError, match="no labels of a known format"):
        read_labels(archive_of(tmp_path / "b.zip", {"a.json": "[]"}))


def test_an_error_names_the_file_in_the_archive(tmp_path: Path, temporary: Path) -> None:
    path = archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT[:-20]})
    with pytest.raises(LabelError) as caught:
        read_labels(path)
    assert caught.value.where == f"{path}/labels.json"
    assert not any(temporary.iterdir())


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("link.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    pipe = zipfile.ZipInfo("pipe.json")
    pipe.external_attr = (stat.S_IFIFO | 0o666) << 16
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../evil.json", "/evil.json", "a/../../evil.json", "C:\\evil.json", "..\\evil.json"):
            archive.writestr(name, "{}")
        archive.writestr(link, "/etc/passwd")
        archive.writestr(pipe, "")
        archive.writestr("good.json", "{}")
    context = Context()
    folder = unpack(path, tmp_path / "out", context)
    assert [file.name for file in folder.rglob("*")] == ["good.json"]
    assert not list(tmp_path.rglob("evil.json"))
    sentences = context.findings.sentences()
    assert [(sentence.kind, sentence.occurrences) for sentence in sentences] == [
        ("File whose name leads out of the folder, not unpacked", 5),
        ("Link or special file, not unpacked", 2),
    ]


def test_names_of_other_systems_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder\\b.json", "{}")
        archive.writestr("m\u00e4use.json", "{}")
        archive.writestr("__MACOSX/._b.json", "x")
        archive.writestr("folder/.DS_Store", "x")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # UTF-8, and nothing says so
        start = 0
        while (start := data.find(signature, start)) >= 0:
            flags = struct.unpack_from("<H", data, start + offset)[0]
            struct.pack_into("<H", data, start + offset, flags & ~0x800)
            start += 4
    path.write_bytes(data)
    context = Context()
    folder = unpack(path, tmp_path / "out", context)
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    assert files == ["folder/b.json", "m\u00e4use.json"]
    assert not len(context.findings)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_that_cannot_be_unpacked_are_reported_and_the_others_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad.txt", "damaged later")
        archive.writestr("good.txt", "first")
        archive.writestr("good.txt", "second")
        archive.writestr("x" * 300 + ".txt", "too long")
        archive.writestr("good.txt/inside.txt", "a file cannot be a folder")
    path.write_bytes(path.read_bytes().replace(b"damaged later", b"damaged LATER"))
    context = Context()
    folder = unpack(path, tmp_path / "out", context)
    assert [(file.name, file.read_text()) for file in folder.rglob("*")] == [("good.txt", "first")]
    assert len(context.findings.sentences()) == 4
    assert all(sentence.severity == "error" for sentence in context.findings.sentences())


def test_an_archive_that_would_fill_the_disk_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "bomb.zip", {"labels.json": b" " * (1 << 20)})
    data = bytearray(path.read_bytes())
    directory = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 3 << 30)  # the size that the directory states
    path.write_bytes(data)
    with pytest.raises(LabelError, match=r"would take 3\.2 GB unpacked, from 0\.0 MB"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_unpacks_to_more_than_it_states_gives_no_more(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "liar.zip", {"labels.json": b" " * (1 << 20)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, 1000)
    struct.pack_into("<I", data, data.find(b"PK\x03\x04") + 22, 1000)
    path.write_bytes(data)
    context = Context()
    folder = unpack(path, tmp_path / "out", context)
    assert sum(file.stat().st_size for file in folder.rglob("*")) <= 1000


def test_too_many_files_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "many.zip", {"labels.json": "{}"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rfind(b"PK\x05\x06") + 12, 0xF0000000)  # the size of the directory
    path.write_bytes(data)
    with pytest.raises(LabelError, match="more than 500,000 files"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 10, b"PK\x05\x06" + b"\xff" * 18, b"no"]
)
def test_damaged_archives_are_errors_of_labels(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(LabelError):
        unpack(path, tmp_path / "out")
    with pytest.raises(LabelError):
        read_labels(path)


def test_any_damaged_byte_is_an_error_or_a_finding(tmp_path: Path, temporary: Path) -> None:
    whole = archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT}).read_bytes()
    path = tmp_path / "b.zip"
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        context = Context()
        try:
            with read_labels(path, context=context) as labels:
                list(labels.instances())
        except LabelError:
            continue
    assert not any(temporary.iterdir())


def test_a_cancelled_extraction_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    path = archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT})
    context = Context(is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        unpack(path, tmp_path / "out", context)
    with pytest.raises(Cancelled):
        read_labels(path, context=context)
    assert not (tmp_path / "out").exists()
    assert not any(temporary.iterdir())


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(LabelError, match="not an empty folder"):
        unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_labels_are_written_into_an_archive_and_come_back(tmp_path: Path, temporary: Path) -> None:
    source = archive_of(tmp_path / "a.zip", {"labels.json": DOCUMENT})
    for path in (tmp_path / "b.zip", tmp_path / "c.zip"):
        with read_labels(source) as labels:
            write_labels(labels, path, format="coco")
    with read_labels(tmp_path / "b.zip") as labels:
        assert labels.num_instances() == 1
    assert zipfile.ZipFile(tmp_path / "b.zip").namelist() == ["b.json"]
    assert not any(temporary.iterdir())


def test_an_archive_is_written_only_in_a_named_format(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="with --to"):
        format_for_writing(tmp_path / "out.zip")
    assert format_for_writing(tmp_path / "out.zip", "yolo").suffixes == (".zip",)


def test_archives_are_converted_from_the_command_line(
    tmp_path: Path, picture: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(picture)
    images = {name: picture(name, 100, 80).read_bytes() for name in ("a.jpg", "b.jpg")}
    source = archive_of(tmp_path / "in.zip", {"labels.json": DOCUMENT, **images})
    folder = tmp_path / "set"
    folder.mkdir()
    assert convert([str(source), str(folder), "--to", "yolo", "--copy-images"]) == 0
    assert sorted(file.name for file in folder.rglob("*.jpg")) == ["a.jpg", "b.jpg"]
    assert convert([str(source), str(tmp_path / "out.zip"), "--to", "yolo", "--link-images"]) == 0
    assert {name for name in zipfile.ZipFile(tmp_path / "out.zip").namelist() if name.endswith(".jpg")} == {
        "images/train/a.jpg",
        "images/train/b.jpg",
    }
    assert "YOLO-pose data set in a zip archive" in capsys.readouterr().out


def test_labels_of_a_folder_are_those_nearest_to_the_top(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "sub" / "annotations").mkdir(parents=True)
    (folder / "sub" / "annotations" / "train.json").write_text(DOCUMENT)
    (folder / "sub" / "notes.txt").write_text("none")
    assert [(match.path.name, match.format.name) for match in labels_in(folder)] == [("train.json", "coco")]
    (folder / "all.json").write_text(DOCUMENT)
    assert [match.path.name for match in labels_in(folder)] == ["all.json"]
    assert not is_archive(folder)
