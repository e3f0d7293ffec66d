"""Names follow docs/glossary.md: the words of its "not" column appear in no identifier, file name or text."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "poseapp", "resources", "tests")
CODE_TYPE = re.compile(r"`([^`]+)`( \(texts\))?")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# Names that are fixed elsewhere: identifiers by (file, word), with the reason.
ALLOWED: dict[tuple[str, str], str] = {
    ("engine/formats/datasets/deepfashion.py", "landmark"): "the makers call their lists so",
    ("engine/formats/datasets/loading.py", "landmark"): "the makers call their lists so",
    ("poseapp/app/canvas_style.py", "bones"): "show_bones is a key of stored settings",
    ("poseapp/commands/view.py", "bones"): "show_bones is the id of a command, by which people keep shortcuts",
    ("poseapp/dialogs/settings/dialog.py", "bones"): "show_bones is a key of stored settings",
}

VAGUE_LOCALS = frozenset({"found", "place", "number", "wanted", "there", "made", "told", "kept"})
"""Local names that say nothing about what they hold."""
VAGUE_LIMIT = 20


def banned() -> tuple[frozenset[str], tuple[str, ...]]:
    """Words of the glossary's last column: those banned everywhere, and those banned in texts only."""
    everywhere, texts = set(), []
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| ") or len(cells) != 3:
            continue
        for word, only_texts in CODE_TYPE.findall(cells[2]):
            if only_texts:
                texts.append(word)
            else:
                everywhere.add(word)
    return frozenset(everywhere), tuple(texts)


def words_of(name: str) -> set[str]:
    return {word.lower() for word in WORD.findall(name)}


@cache
def trees() -> dict[str, ast.Module]:
    """Syntax trees of the packages, by path from the root."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that a file defines, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def local_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Parameters and variables of functions, with their lines."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.arg):
                    yield node.arg, node.lineno
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id, node.lineno


def test_the_glossary_bans_words() -> None:
    everywhere, texts = banned()
    assert {"bone", "centre", "optimiser", "film"} <= everywhere
    assert {"kind", "verb"} <= set(texts)


def test_identifiers_use_the_words_of_the_glossary() -> None:
    everywhere, _ = banned()
    violations = [
        f"{path}:{line}: {name}"
        for path, tree in trees().items()
        if not path.startswith("tests/")
        for name, line in identifiers(tree)
        for word in words_of(name) & everywhere
        if (path, word) not in ALLOWED
    ]
    assert not violations, "\n" + "\n".join(sorted(set(violations)))


def test_file_names_use_the_words_of_the_glossary() -> None:
    everywhere, _ = banned()
    violations = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if "__pycache__" not in path.parts and words_of(path.stem) & everywhere
    ]
    assert not violations, "\n" + "\n".join(violations)


def test_texts_of_the_window_use_the_words_of_the_glossary() -> None:
    everywhere, texts = banned()
    catalog = tomllib.loads((ROOT / "resources" / "languages" / "zh_CN.toml").read_text(encoding="utf-8"))
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted({*everywhere, *texts}))) + r")\b", re.IGNORECASE)
    assert not [text for text in catalog["texts"] if pattern.search(re.sub(r"\{\w+(:d)?\}", "", text))]


def test_local_names_say_what_they_hold() -> None:
    vague = [
        f"{path}:{line}: {name}"
        for path, tree in trees().items()
        for name, line in {(name, line) for name, line in local_names(tree) if name in VAGUE_LOCALS}
    ]
    assert len(vague) <= VAGUE_LIMIT, f"{len(vague)} vague names\n" + "\n".join(sorted(vague))


@pytest.mark.parametrize(
    ("name", "words"),
    [("CentreOffset", {"centre", "offset"}), ("own_colours", {"own", "colours"}), ("NMSBox", {"nms", "box"})],
)
def test_identifiers_are_split_into_words(name: str, words: set[str]) -> None:
    assert words_of(name) == words
