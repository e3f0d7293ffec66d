"""No circles of imports, not even through imports inside functions; and no folder with too many modules.

Read from the syntax trees, so a circle is found whether or not running the program would hit it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "poseapp")

MOST_MODULES = 14
LARGER_FOLDERS: dict[str, int] = {}
"""Folders that may hold more modules than MOST_MODULES, and how many; say why."""


def modules_of(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, Path]:
    """Dotted name to file of every module and package."""
    modules = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(name: str, tree: ast.AST, modules: dict[str, Path]) -> dict[str, int]:
    """Modules that a module imports anywhere, with the line; imports for type checkers alone do not count."""
    lines: dict[str, int] = {}
    for node in _nodes_that_run(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [full if full in modules else node.module for full in inner]
        for target in names:
            if target in modules and target != name:
                lines.setdefault(target, node.lineno)
    return lines


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from _nodes_that_run(other)
        else:
            yield node
            yield from _nodes_that_run(node)


def circles_of(graph: dict[str, dict[str, int]]) -> list[list[str]]:
    """Groups of modules that reach each other (strongly connected components; Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in graph[name]:
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                circles.append(sorted(group))

    for name in graph:
        if name not in order:
            visit(name)
    return circles


def described(circle: list[str], graph: dict[str, dict[str, int]]) -> str:
    members = set(circle)
    return "\n".join(
        f"{name}:{line} imports {target}"
        for name in circle
        for target, line in graph[name].items()
        if target in members
    )


def test_no_module_imports_itself_through_others() -> None:
    modules = modules_of(ROOT)
    assert len(modules) > 200
    graph = {name: imports_of(name, ast.parse(path.read_bytes()), modules) for name, path in modules.items()}
    circles = circles_of(graph)
    assert not circles, "\n\n".join(described(circle, graph) for circle in circles)


def test_a_circle_through_a_late_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def f():\n    from house.b import g\n    return g\n")
    (package / "b.py").write_text("from house import c\n\ng = c\n")
    (package / "c.py").write_text("import house.a\n")
    types = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.a import f\nelse:\n    import house.b\n"
    )
    (package / "d.py").write_text(types)
    modules = modules_of(tmp_path, ("house",))
    graph = {name: imports_of(name, ast.parse(path.read_bytes()), modules) for name, path in modules.items()}
    assert circles_of(graph) == [["house.a", "house.b", "house.c"]]
    assert graph["house.d"] == {"house.b": 5}
    assert "house.a:2 imports house.b" in described(["house.a", "house.b", "house.c"], graph)


def test_no_folder_holds_more_modules_than_a_reader_can_survey() -> None:
    counts = Counter(
        path.parent.relative_to(ROOT).as_posix() for path in modules_of(ROOT).values() if path.name != "__init__.py"
    )
    large = {folder: count for folder, count in counts.items() if count > LARGER_FOLDERS.get(folder, MOST_MODULES)}
    assert not large
