"""Tracks of CVAT's XML: the points of a track by frame, and what CVAT shows between keyframes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from xml.etree.ElementTree import Element

import msgspec

from engine.formats.cvat.shapes import TRUE, ShapeReader, label_of
from engine.utils.context import ERROR, Context

_MAX_FILLED = 2_000_000
_Points = tuple[tuple[float, float], ...]


class TrackShape(msgspec.Struct, gc=False):  # millions of them
    """Points of a track in one frame."""

    points: _Points
    outside: bool
    occluded: bool
    keyframe: bool


@dataclass
class TrackElement:
    """One keypoint of a track (or all of them, unnamed) in the frames that the file lists, ascending."""

    shapes: dict[int, TrackShape] = field(default_factory=dict)

    def sort(self) -> None:
        self.shapes = dict(sorted(self.shapes.items()))
        self._frames = list(self.shapes)

    def at(self, frame: int) -> TrackShape | None:
        """What is shown in a frame: as listed, else on the line between its neighbours; None before the first."""
        index = bisect_right(self._frames, frame) - 1
        if index < 0:
            return None
        start = self._frames[index]
        shape = self.shapes[start]
        if start == frame or shape.outside or index + 1 == len(self._frames):
            return shape
        stop = self._frames[index + 1]
        other = self.shapes[stop]
        if other.outside or len(other.points) != len(shape.points):
            return shape
        share = (frame - start) / (stop - start)
        points = tuple(
            (x + (next_x - x) * share, y + (next_y - y) * share)
            for (x, y), (next_x, next_y) in zip(shape.points, other.points, strict=True)
        )
        return TrackShape(points, False, shape.occluded, False)


class TrackReader:
    """Collects the points of one track after the other.

    Args:
        context: gets what cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self._context, self._shapes = context, ShapeReader(context)
        self._elements: dict[str, TrackElement] = {}
        self._filled = 0

    def add_skeleton(self, skeleton: Element, track: Element) -> None:
        """Read the points of one frame of a track."""
        where = f"track {track.get('id') or ''}"
        frame_index, keyframe = self._shapes.frame_index(skeleton, where), skeleton.get("keyframe")
        for shape in skeleton.iter("points"):
            self._add_shape(label_of(shape), shape, frame_index, shape.get("keyframe") or keyframe, where)

    def _add_shape(self, name: str, shape: Element, frame_index: int | None, keyframe: str | None, where: str) -> None:
        """Add points of the track that is being read; ``name`` "" for several unnamed points."""
        if frame_index is None:
            return
        points: _Points
        if name:
            point = self._shapes.point(shape, where)
            points = () if point is None else (point,)
        else:
            rows = self._shapes.points(shape, where)
            points = () if rows is None else tuple((x, y) for x, y in rows.tolist())
        if points:
            element = self._elements.get(name)
            if element is None:
                element = self._elements[name] = TrackElement()
            element.shapes[frame_index] = TrackShape(
                points,
                shape.get("outside") in TRUE,
                shape.get("occluded") in TRUE,
                keyframe is None or keyframe in TRUE,
            )

    def elements_of(self, track: Element, where: str) -> dict[str, TrackElement]:
        """The keypoints of a track by name; one without a name for shapes of several unnamed points."""
        for child in track:
            if child.tag == "track":
                for shape in child.iter("points"):
                    frame_index = self._shapes.frame_index(shape, where)
                    self._add_shape(label_of(child), shape, frame_index, shape.get("keyframe"), where)
            elif child.tag == "points":
                self._add_shape("", child, self._shapes.frame_index(child, where), child.get("keyframe"), where)
        elements, self._elements = self._elements, {}
        if "" in elements and len(elements) > 1:
            self._context.report(where, "Points without a name in a track with named ones", "left out", severity=ERROR)
            del elements[""]
        for element in elements.values():
            element.sort()
        return elements

    def frames_of(self, elements: Iterable[TrackElement], stop_frame: int, step: int, where: str) -> list[int]:
        """The frames in which a track is shown.

        Args:
            stop_frame: the last frame of the video that was labelled. step: from one labelled frame to the next.
        """
        elements = list(elements)
        listed = sorted({frame for element in elements for frame in element.shapes})
        if not listed or any(not shape.keyframe for element in elements for shape in element.shapes.values()):
            return listed
        frames = []
        for start, stop in pairwise([*listed, max(listed[-1], stop_frame) + 1]):
            frames.append(start)
            if all((shape := element.at(start)) is None or shape.outside for element in elements):
                continue  # nothing is shown before the next keyframe
            between = range(start + step, stop, step)
            self._filled += len(between)
            if self._filled > _MAX_FILLED:
                self._filled -= len(between)
                self._context.report(where, "Too many frames between keyframes", "only keyframes are read")
                continue
            frames += between
        return frames
