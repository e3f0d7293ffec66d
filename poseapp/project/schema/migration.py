"""Poses under another schema: which new point comes from which old one, and the one edit that moves them all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import ProjectError
from engine.schema.schema import Schema
from poseapp.project.model import ABSENT, Category, Change, Edit, FrameEdit, FrameKey, Instance
from poseapp.project.store import ProjectStore

Sources = tuple[int | None, ...]
"""For each new point the position of the old one that it takes over, None for a point that is new."""

# The same place on the body under different names: Halpe calls the top of the head "head" and the middle of the hips
# "hip", CrowdPose says "top_head", MPII "pelvis".
_SAME = (("head_top", "top_head", "head"), ("pelvis", "hip", "mid_hip", "middle_hip"), ("neck", "mid_shoulder"))
_SYNONYMS = {name: group[0] for group in _SAME for name in group}
_BECAME = "became:"
_ASIDE = re.compile(r" \(\d+ points\)( \d+)?$")
_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}


def match_points(old: Schema, new: Schema) -> Sources:
    """Where each point of ``new`` comes from: equal names first, then names that say the same otherwise.

    Each old point is taken at most once. COCO's 17 points, COCO-WholeBody's 133 and Halpe's 136 and 26 match by name.
    """
    results: list[int | None] = [old.index.get(name) for name in new.names]
    taken = {position for position in results if position is not None}
    free: dict[str, int] = {}
    for position, name in enumerate(old.names):
        if position not in taken:
            free.setdefault(_plain(name), position)
    for position, name in enumerate(new.names):
        if results[position] is None:
            results[position] = free.pop(_plain(name), None)
    return tuple(results)


def migrated(instance: Instance, category: Category, sources: Sources) -> Instance:
    """A pose with the points of another category; the new ones are absent. State, score, track and box stay.

    Raises:
        ProjectError: the sources do not fit the category or the instance.
    """
    count = category.schema.num_keypoints
    taken = [(to, at) for to, at in enumerate(sources) if at is not None]
    if len(sources) != count or any(not 0 <= at < instance.num_keypoints for _, at in taken):
        raise ProjectError(
            f"the mapping has {len(sources)} points, {category.name!r} {count}, the pose {instance.num_keypoints}"
        )
    to = np.array([t for t, _ in taken], dtype=np.int64)
    at = np.array([a for _, a in taken], dtype=np.int64)
    points = np.zeros((count, 2))
    seen = np.full(count, ABSENT, np.uint8)
    human = np.zeros(count, np.bool_)
    scores = None if instance.scores is None else np.zeros(count)
    points[to], seen[to], human[to] = instance.keypoints[at], instance.visibility[at], instance.by_human[at]
    if scores is not None and instance.scores is not None:
        scores[to] = instance.scores[at]
    return replace(instance, category=category.id, keypoints=points, visibility=seen, by_human=human, scores=scores)


def migration(
    items: Iterable[tuple[FrameKey, Instance]], source: int, target: Category, sources: Sources, *, text: str = ""
) -> Edit:
    """All poses of category ``source`` become poses of ``target``, as one step.

    Args:
        items: instances with their frames, frame by frame; those of other categories are left alone.
    """
    frames = [
        FrameEdit(key, before, tuple(migrated(i, target, sources) for i in before))
        for key, before in _by_frame((key, i) for key, i in items if i.category == source)
    ]
    total = sum(len(f.before) for f in frames)
    words = text or f"Change {total} {'pose' if total == 1 else 'poses'} to {target.name}"
    return Edit(words, tuple(frames))


def migrate_category(
    store: ProjectStore, source: Category, name: str, schema: Schema, sources: Sources
) -> tuple[Category, Change]:
    """Move all poses of a category to other points, as one step that can be undone.

    The category of the new points takes over the name; the old one stays, under a name that tells its points, for what
    undo brings back. All of it is one transaction: killed or refused on the way, the project is as it was. Returns the
    category that the poses have now.

    Raises:
        ProjectError: the mapping does not fit, or the project cannot be written.
    """
    store.database.finish_chunks()
    known = store.categories()
    try:
        with store.database.write():
            target = next((c for c in known if c.id != source.id and c.schema == schema), None)
            if target is None:
                if name == source.name:
                    store.update_category(source.id, name=_aside_name(source, {c.name for c in known}))
                target = store.add_category(name, schema)
            store.database.set_meta(f"{_BECAME}{source.id}", target.id)
            return target, store.apply(migration(store.all_instances(), source.id, target, sources))
    except BaseException:
        store.imported()  # categories that have been read on the way are gone again
        raise


def _aside_name(category: Category, taken: set[str]) -> str:
    """What a category is called while its poses have other points."""
    name = f"{category.name} ({category.schema.num_keypoints} points)"
    return next(n for n in (name, *(f"{name} {i}" for i in range(2, 1000))) if n not in taken)


def settle_names(store: ProjectStore, change: Change) -> Category | None:
    """After a step of the history: the plain name goes to the points that the poses have now.

    A migration leaves several categories behind that were one kind at different times; the plain name is that of the
    one in use, the others are called after their points. Returns the category that got the name, that of the first
    frame where several kinds changed; None for no change.
    """
    families = _families(store)
    if not families or not change.frames:
        return None
    here = {instance.category for instance in store.instances(min(change.frames))}
    named = _settle(store, families, here)
    return next((category for category in named if category.id in here), named[0] if named else None)


def settle_all_names(store: ProjectStore) -> None:
    """What :func:`settle_names` does, for a project that was closed by a kill between a step and its names."""
    _settle(store, _families(store), set())


def _settle(store: ProjectStore, families: list[set[int]], here: set[int]) -> list[Category]:
    """Give each family's plain name to the category in use, of several to that among ``here``; those that got it."""
    named: list[Category] = []
    for family in families:
        known = {category.id: category for category in store.categories()}
        plain = next((n for n in sorted(family) if n in known and not _ASIDE.search(known[n].name)), None)
        if plain is None or _is_used(store, plain):
            continue
        used = [n for n in sorted(family) if n in known and _is_used(store, n)]
        now = next((n for n in used if n in here), used[0] if len(used) == 1 else None)
        if now is not None:
            name = known[plain].name
            aside = _aside_name(known[plain], {category.name for category in known.values()})
            with store.database.write():
                store.update_category(plain, name=aside)
                named.append(store.update_category(now, name=name))
    return named


def put_aside(store: ProjectStore) -> set[int]:
    """Categories that are there for undo only: their poses have other points now."""
    known = {category.id: category for category in store.categories()}
    members = {index for family in _families(store) for index in family}
    return {n for n in members if n in known and _ASIDE.search(known[n].name) and not _is_used(store, n)}


def successors(store: ProjectStore) -> dict[int, int]:
    """For each category whose poses were moved to others the last of these, of those that are in use now.

    A category that its poses came back to is its own successor, and not listed.
    """
    rows = store.database.rows("SELECT key, value FROM meta WHERE key LIKE ?", (f"{_BECAME}%",))
    became = {int(key.removeprefix(_BECAME)): int(value) for key, value in rows}
    results: dict[int, int] = {}
    for first in became:
        seen, here = {first}, first
        while here in became and became[here] not in seen:
            here = became[here]
            seen.add(here)
            if _is_used(store, here):
                results[first] = here
    return results


def _families(store: ProjectStore) -> list[set[int]]:
    """Categories that became one another."""
    rows = store.database.rows("SELECT key, value FROM meta WHERE key LIKE ?", (f"{_BECAME}%",))
    results: list[set[int]] = []
    for key, value in rows:
        pair = {int(key.removeprefix(_BECAME)), int(value)}
        joined = [family for family in results if family & pair]
        results = [family for family in results if not family & pair] + [pair.union(*joined)]
    return results


def _is_used(store: ProjectStore, category: int) -> bool:
    # Not of the instances: they are not found by category, and looking through very many takes a moment.
    return store.database.row("SELECT 1 FROM frame_category WHERE category = ? LIMIT 1", (category,)) is not None


def lost_points(old: Schema, sources: Sequence[int | None]) -> list[str]:
    """Names of the old points that no new one takes over."""
    taken = set(sources)
    return [name for position, name in enumerate(old.names) if position not in taken]


def _by_frame(items: Iterable[tuple[FrameKey, Instance]]) -> Iterator[tuple[FrameKey, tuple[Instance, ...]]]:
    here: FrameKey | None = None
    results: list[Instance] = []
    for key, instance in items:
        if here is not None and key != here:
            yield here, tuple(results)
            results = []
        here = key
        results.append(instance)
    if here is not None:
        yield here, tuple(results)


def _plain(name: str) -> str:
    """A name without case, separators and ways to write a side: "L_Ear", "leftEar" and "ear-left" are one."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = [w for w in re.split(r"[^a-z0-9]+", spaced.lower()) if w]
    side = next((_SIDES[w] for w in words if w in _SIDES), "")
    rest = "_".join(w for w in words if w not in _SIDES)
    rest = _SYNONYMS.get(rest, rest)
    return f"{side}:{rest.replace('_', '')}"
