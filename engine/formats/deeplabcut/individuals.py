"""Poses of any labels as DeepLabCut arranges them: a column group per individual, at most one pose of it in a frame."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.formats.registry import WriteOptions
from engine.labels.model import ABSENT, Frame, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, Context

TableKey = tuple[int, int, bool]
"""Positions of media (0 where tables hold all of them) and category; whether the poses are predictions on images."""

_STEP = 1000
_MAX_NAMED = 64
_MAX_EMPTY_SHARE = 50


@dataclass
class Individuals:
    """The poses of one table.

    Attributes:
        poses: by individual, then by frame position.
    """

    poses: dict[str, dict[int, Instance]] = field(default_factory=dict)

    @property
    def num_poses(self) -> int:
        return sum(len(by_frame) for by_frame in self.poses.values())

    @property
    def frames(self) -> set[int]:
        return {frame for by_frame in self.poses.values() for frame in by_frame}


class PoseGroups:
    """Sorts instances into tables and individuals.

    An individual is a track, by its name, or the first, second, ... pose without a track in a frame.

    Args:
        by_media: a table for each media; else one for all, in which tracks of one name in several media are one column.
        is_apart: positions of the media whose predictions get tables of their own.
    """

    def __init__(
        self, labels: LabelReader, options: WriteOptions, context: Context, *, by_media: bool, is_apart: set[int]
    ) -> None:
        self._labels, self._options, self._context = labels, options, context
        self._by_media, self._is_apart = by_media, is_apart
        self._track_names = set(labels.tracks.values())
        self._owners: dict[tuple[TableKey, str, int], int] = {}
        self._names: dict[tuple[TableKey, int, int], str] = {}

    def tables(self, frames: Sequence[Frame]) -> dict[TableKey, Individuals]:
        """All tables with poses; what has no place in any is reported."""
        tables: defaultdict[TableKey, Individuals] = defaultdict(Individuals)
        untracked: Counter[tuple[int, int, bool]] = Counter()
        total = self._labels.num_instances()
        for index, instance in enumerate(self._labels.instances()):
            if index % _STEP == 0:
                self._context.progress(index, total)
            if instance.is_prediction and not self._options.include_predictions:
                continue
            fault = self._fault(instance)
            if fault:
                self._context.report(instance.key or f"record {index + 1}", fault, "left out", severity=ERROR)
                continue
            if instance.scores is not None and not instance.is_prediction:
                self._context.report(instance.key or f"record {index + 1}", "Scores of a label of a person", "left out")
            media = frames[instance.frame].media
            apart = instance.is_prediction and media in self._is_apart
            key = (media if self._by_media else 0, instance.category, apart)
            if instance.track is None:
                rank = (instance.frame, instance.category, apart)
                untracked[rank] += 1
                name = self._free_name(untracked[rank])
            else:
                name = self._name_of_track(key, media, instance.track)
            poses = tables[key].poses.setdefault(name, {})
            if instance.frame in poses:
                where = f"{name}, frame {instance.frame}"
                self._context.report(where, "Second pose of an individual in a frame", "left out")
            else:
                poses[instance.frame] = instance
        return {key: self._without_many_names(table) for key, table in tables.items()}

    def _fault(self, instance: Instance) -> str:
        if not instance.is_pose:
            return "Crowd, or record without keypoints, which this format does not have"
        schema = self._labels.categories[instance.category].schema
        assert instance.keypoints is not None
        if schema is None or schema.num_keypoints != len(instance.keypoints):
            return "Pose with another number of keypoints than its category"
        if instance.visibility is not None and not (instance.visibility != ABSENT).any():
            return "Pose without a keypoint, which this format does not have"
        return ""

    def _name_of_track(self, key: TableKey, media: int, track: int) -> str:
        """Its name; two tracks of one name in one media get different ones."""
        known = self._names.get((key, media, track))
        if known is None:
            base = self._labels.tracks.get(track) or f"track_{track}"
            known, attempt = base, 1
            while self._owners.setdefault((key, known, media), track) != track:
                attempt += 1
                known = f"{base}_{attempt}"
            self._names[key, media, track] = known
        return known

    def _free_name(self, rank: int) -> str:
        name = f"individual_{rank}"
        while name in self._track_names:
            name += "_"
        return name

    def _without_many_names(self, table: Individuals) -> Individuals:
        """Hundreds of tracks that are seen briefly would make a table of nothing but empty cells."""
        names = len(table.poses)
        if names <= _MAX_NAMED or names * len(table.frames) <= _MAX_EMPTY_SHARE * table.num_poses:
            return table
        ranks: Counter[int] = Counter()
        renamed = Individuals()
        for by_frame in table.poses.values():
            for frame, instance in by_frame.items():
                ranks[frame] += 1
                renamed.poses.setdefault(f"individual_{ranks[frame]}", {})[frame] = instance
        self._context.report(
            f"{names} tracks", "More tracks than a table has room for", "individuals are numbered in each frame"
        )
        return renamed


def largest_first(tables: Mapping[TableKey, Individuals]) -> list[TableKey]:
    return sorted(tables, key=lambda key: -tables[key].num_poses)
