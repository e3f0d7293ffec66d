"""Seeded mutants of label files: damage that disks, editors and other tools do, and what must hold of each.

    python -m tests.fuzz.label_mutants --kind coco --count 2000 [--seed 1] [--keep FOLDER]

A kind of file is a :class:`Format`: how a good file is made, how it is damaged, how it is tried. Of every mutant must
hold: an answer or a :class:`PoseError` of one line, within the time; nothing lost without a word; what is exported can
be read again. Add a format with :func:`register`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import PoseError
from engine.schema.schema import load_schema
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.store import ProjectStore

SECONDS = 10
"""The longest that one mutant may take."""

Mutate = Callable[[bytes, random.Random], bytes]


class Wrong(AssertionError):
    """Something that must hold does not."""


class Slow(BaseException):
    """A mutant took too long; not an ``Exception``, so that no handler of the product takes it."""


@dataclass(frozen=True)
class Format:
    """A kind of label file.

    Attributes:
        suffix: of the file. make: the bytes of a good file, by a seed.
        mutators: ways to damage it.
        check: opens the file in a folder; returns "read" or "refused", raises :class:`Wrong`.
    """

    suffix: str
    make: Callable[[random.Random], bytes]
    mutators: tuple[Mutate, ...]
    check: Callable[[Path], str]


@dataclass
class Outcome:
    """What came of many mutants. ``failures``: seed, what was wrong, and the file where it is kept."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[tuple[int, str]] = field(default_factory=list)


FORMATS: dict[str, Format] = {}


def register(name: str, kind: Format) -> None:
    FORMATS[name] = kind


def run(name: str, count: int, seed: int = 0, keep: Path | None = None) -> Outcome:
    """Try ``count`` mutants of a kind of file; the same seed gives the same mutants."""
    kind, outcome = FORMATS[name], Outcome()
    for index in range(count):
        rng = random.Random(f"{name} {seed} {index}")
        data = kind.make(rng)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = rng.choice(kind.mutators)(data, rng)
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            path = Path(folder) / f"mutant{kind.suffix}"
            path.write_bytes(data)
            begin = time.monotonic()
            try:
                with _limited(SECONDS):
                    outcome.counts[kind.check(path)] += 1
            except Slow:
                outcome.failures.append((index, f"took more than {SECONDS} s"))
            except Wrong as error:
                outcome.failures.append((index, str(error)))
            except Exception:
                outcome.failures.append((index, traceback.format_exc(limit=-4)))
            outcome.slowest = max(outcome.slowest, time.monotonic() - begin)
            if keep is not None and outcome.failures and outcome.failures[-1][0] == index:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep / f"{name}-{seed}-{index}{kind.suffix}")
    return outcome


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Slow

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- damage to any file


def cut_off(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flip_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def double_a_piece(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.choice((1, 10, 1000)))
    return data[:stop] + data[start:stop] + data[stop:]


def drop_a_piece(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 10, 1000)) :]


def deepen(data: bytes, rng: random.Random) -> bytes:
    position = rng.randrange(len(data) + 1)
    return data[:position] + rng.choice((b"[", b'{"a":', b"(")) * rng.choice((50, 2000, 100_000)) + data[position:]


ANY_FILE: tuple[Mutate, ...] = (cut_off, flip_bytes, double_a_piece, drop_a_piece, deepen)


# --- COCO

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, 1e308, -1e308, 2**31, 2**53, 2**63, 2**64, 10**30, 10**400, "", "1", "x",
    "NaN", "\ud83d", "a\0b", "\u202e", "../../etc/passwd", "/dev/zero", "x" * 100_000, [], [[]], {}, {"id": 1}, [1, 2],
    [None],
    float("nan"), float("inf"), [1, 2, 2] * 3, [1.5, 2, 0.3] * 3, [[1, 2], [3, 4]], "C:\\a\\b.png", "%2e%2e%2fa.png",
)  # fmt: skip


def good_coco(rng: random.Random) -> bytes:
    count = rng.choice((2, 3, 6, 17))
    names = [f"point {n}" for n in range(count)]
    images = [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 80} for n in range(1, rng.randrange(2, 8))]
    annotations = [
        {
            "id": n,
            "image_id": rng.choice(images)["id"],
            "category_id": 1,
            "keypoints": [rng.randrange(90) if i % 3 < 2 else rng.randrange(3) for i in range(3 * count)],
            "num_keypoints": count,
            "bbox": [1, 2, 30.5, 40],
            "area": 1220.0,
            "iscrowd": 0,
            **({"score": 0.5} if rng.random() < 0.2 else {}),
            **({"track_id": rng.randrange(5)} if rng.random() < 0.2 else {}),
        }
        for n in range(1, rng.randrange(2, 20))
    ]
    skeleton = [[n, n + 1] for n in range(1, count)]
    category = {"id": 1, "name": "thing", "supercategory": "thing", "keypoints": names, "skeleton": skeleton}
    data = {"info": {"year": 2020}, "images": images, "annotations": annotations, "categories": [category]}
    return json.dumps(data).encode()


def _edited(change: Callable[[dict[str, Any], random.Random], None]) -> Mutate:
    """A change to the parsed file; a file that is no object any more stays as it is."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        try:
            top = json.loads(data)
        except (ValueError, RecursionError):
            return data
        if not isinstance(top, dict):
            return data
        change(top, rng)
        return json.dumps(top).encode()

    return mutate


def _record(top: dict[str, Any], rng: random.Random) -> dict[str, Any] | None:
    section = top.get(rng.choice(("images", "annotations", "annotations", "categories")))
    records = [r for r in section if isinstance(r, dict)] if isinstance(section, list) else []
    return rng.choice(records) if records else None


def _odd_value(top: dict[str, Any], rng: random.Random) -> None:
    record = _record(top, rng)
    if record:
        record[rng.choice(list(record))] = rng.choice(_ODD)


def _odd_item(top: dict[str, Any], rng: random.Random) -> None:
    record = _record(top, rng) or {}
    lists = [value for value in record.values() if isinstance(value, list) and value]
    if lists:
        chosen = rng.choice(lists)
        chosen[rng.randrange(len(chosen))] = rng.choice(_ODD)


def _drop_key(top: dict[str, Any], rng: random.Random) -> None:
    record = _record(top, rng)
    if record:
        del record[rng.choice(list(record))]


def _shorten_list(top: dict[str, Any], rng: random.Random) -> None:
    record = _record(top, rng) or {}
    lists = [value for value in record.values() if isinstance(value, list) and value]
    if lists:
        chosen = rng.choice(lists)
        del chosen[rng.randrange(len(chosen)) :]


def _double_record(top: dict[str, Any], rng: random.Random) -> None:
    section = top.get(rng.choice(("images", "annotations", "categories")))
    if isinstance(section, list) and section:
        section.insert(rng.randrange(len(section) + 1), rng.choice(section))


def _odd_record(top: dict[str, Any], rng: random.Random) -> None:
    section = top.get(rng.choice(("images", "annotations", "categories")))
    if isinstance(section, list):
        section.insert(rng.randrange(len(section) + 1), rng.choice(_ODD))


def _odd_section(top: dict[str, Any], rng: random.Random) -> None:
    top[rng.choice(("images", "annotations", "categories", "info", "\ud83d"))] = rng.choice(_ODD)


def _drop_record(top: dict[str, Any], rng: random.Random) -> None:
    section = top.get(rng.choice(("images", "categories")))
    if isinstance(section, list) and section:
        section.pop(rng.randrange(len(section)))


def _ids_as_text(top: dict[str, Any], rng: random.Random) -> None:
    key = rng.choice(("image_id", "category_id"))
    annotations = top.get("annotations")
    for record in annotations if isinstance(annotations, list) else []:
        if isinstance(record, dict) and key in record:
            record[key] = str(record[key])


def check_coco(path: Path) -> str:
    """Import and export; count by an independent reading of the file what must be in the result or in the report."""
    with ProjectStore.create(path.with_suffix(".pose")) as store:
        try:
            report = import_coco(store, path)
        except PoseError as error:
            _check_message(str(error))
            return "refused"
        for sentence in report.problems:
            _check_message(sentence)
        given = json.loads(_text_of(path), strict=False)
        listed = given.get("annotations") or []
        aside = _asides(report.problems)
        if report.annotations + aside < len(listed):
            raise Wrong(f"{len(listed)} annotations, {report.annotations} in the project, {aside} reported as left out")
        poses = len(list(store.all_instances()))
        if poses != report.annotations:
            raise Wrong(f"{poses} poses in the project, {report.annotations} in the report")
        out = path.with_suffix(".out.json")
        export_coco(store, out)
        written = json.loads(out.read_bytes().decode("utf-8"))
        for section in ("images", "annotations", "categories"):
            if len(written.get(section) or []) != len(given.get(section) or []):
                raise Wrong(
                    f"{len(given.get(section) or [])} {section} came in, {len(written.get(section) or [])} went out"
                )
        if _plain(written) != _plain(given):
            raise Wrong("what nobody touched is exported otherwise than it came")
    return "read"


def _asides(problems: list[str]) -> int:
    """How many annotations the report lists as kept aside."""
    starts = ("Annotation ", "Crowd, kept aside", "Unreadable annotation")
    return sum(_times(sentence) for sentence in problems if sentence.startswith(starts))


def _times(sentence: str) -> int:
    return int(getattr(sentence, "occurrences", 1))


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _plain(value: Any) -> str:
    """Text that is equal for equal values, NaN included."""
    return json.dumps(value, sort_keys=True)


def _check_message(text: str) -> None:
    if len(text) > 2000 or "Traceback" in text:
        raise Wrong(f"a message of {len(text)} characters: {text[:200]}")


COCO_MUTATORS: tuple[Mutate, ...] = tuple(
    _edited(change)
    for change in (
        _odd_value, _odd_value, _odd_value, _odd_item, _odd_item, _drop_key, _shorten_list, _double_record, _odd_record,
        _odd_section, _drop_record, _ids_as_text,
    )
)  # fmt: skip
register("coco", Format(".json", good_coco, (*COCO_MUTATORS, *ANY_FILE[:4], deepen), check_coco))


# --- TOML schemas


def good_toml(rng: random.Random) -> bytes:
    lines = ['name = "thing"', 'category = "thing"', "keypoints = ["]
    lines += [f'  {{name = "point {n}", sigma = 0.05, color = "#ff0000"}},' for n in range(rng.randrange(1, 9))]
    lines += ["]", "limbs = []", ""]
    return "\n".join(lines).encode()


def odd_toml_value(data: bytes, rng: random.Random) -> bytes:
    parts = data.split(b"=")
    position = rng.randrange(len(parts))
    odd = rng.choice(
        (b" 1e999", b" nan", b" 0000-99-99", b" 9" * 5000, b" []", b" {}", b' "\\ud83d"', b" 1979-02-30", b"")
    )
    parts[position] = odd + parts[position]
    return b"=".join(parts)


def dotted_key(data: bytes, rng: random.Random) -> bytes:
    return b".".join([b"a"] * rng.choice((10, 1000, 20_000))) + b" = 1\n" + data


def check_toml(path: Path) -> str:
    try:
        load_schema(path)
    except PoseError as error:
        _check_message(str(error))
        return "refused"
    return "read"


register("toml", Format(".toml", good_toml, (*ANY_FILE, odd_toml_value, dotted_key), check_toml))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(FORMATS), required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the mutants that failed")
    options = parser.parse_args()
    outcome = run(options.kind, options.count, options.seed, options.keep)
    print(
        f"{options.count} mutants: {dict(outcome.counts)}, {len(outcome.failures)} failed, "
        f"slowest {outcome.slowest:.1f} s"
    )
    for index, text in outcome.failures[:20]:
        print(f"--- {index}\n{text}")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
