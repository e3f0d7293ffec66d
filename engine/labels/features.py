"""What labels can hold, which of it given labels do hold, and what a format would lose of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from enum import StrEnum

from engine.labels.model import OCCLUDED, VIDEO, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import Context

_STEP = 4096


class Feature(StrEnum):
    """Something that one label format keeps and another does not. The value is what is counted, in the plural."""

    OCCLUSION = "instances with occluded points"
    SCORES = "instances with scores of a model"
    BOXES = "instances with a box"
    TRACKS = "instances with a track"
    TRACK_NAMES = "named tracks"
    CROWDS = "crowds and records without keypoints"
    SEVERAL_CATEGORIES = "categories beyond the first"
    SEVERAL_MEDIA = "videos or folders of images beyond the first"
    VIDEO_FRAMES = "frames of videos"
    EMPTY_FRAMES = "frames without instances"
    FRAME_MARKS = "frames marked as empty or suggested"
    UNKNOWN_KEYS = "records with keys of their own"


_OF_LABELS = frozenset(
    {
        Feature.SEVERAL_CATEGORIES,
        Feature.SEVERAL_MEDIA,
        Feature.TRACK_NAMES,
        Feature.VIDEO_FRAMES,
        Feature.FRAME_MARKS,
    }
)
"""Features that are known without reading the instances."""


def count_features(
    labels: LabelReader, context: Context | None = None, features: Collection[Feature] = frozenset(Feature)
) -> Counter[Feature]:
    """How much of each feature there is in labels; reads the instances once, if one of ``features`` is theirs."""
    context = context or Context()
    counts = _count_in_labels(labels)
    if not _OF_LABELS.issuperset(features):
        counts += _count_in_instances(labels, context)
    return Counter({feature: count for feature, count in counts.items() if count and feature in features})


def _count_in_labels(labels: LabelReader) -> Counter[Feature]:
    counts: Counter[Feature] = Counter()
    counts[Feature.SEVERAL_CATEGORIES] = max(0, len(labels.categories) - 1)
    counts[Feature.SEVERAL_MEDIA] = max(0, len(labels.media) - 1)
    counts[Feature.TRACK_NAMES] = len(labels.tracks)
    videos = {position for position, media in enumerate(labels.media) if media.type == VIDEO}
    for frame in labels.frames():
        counts[Feature.VIDEO_FRAMES] += frame.media in videos
        counts[Feature.FRAME_MARKS] += frame.is_negative or frame.is_flagged
    return counts


def _count_in_instances(labels: LabelReader, context: Context) -> Counter[Feature]:
    counts: Counter[Feature] = Counter()
    with_instances: set[int] = set()
    total = labels.num_instances()
    for position, instance in enumerate(labels.instances()):
        if position % _STEP == 0:
            context.progress(position, total)
        with_instances.add(instance.frame)
        counts.update(_features_of(instance))
    counts[Feature.EMPTY_FRAMES] = sum(position not in with_instances for position, _ in enumerate(labels.frames()))
    return counts


def _features_of(instance: Instance) -> list[Feature]:
    features: list[Feature] = []
    if instance.visibility is not None and OCCLUDED in instance.visibility.tobytes():
        features.append(Feature.OCCLUSION)
    if instance.score is not None or instance.scores is not None:
        features.append(Feature.SCORES)
    if instance.box is not None:
        features.append(Feature.BOXES)
    if instance.track is not None:
        features.append(Feature.TRACKS)
    if not instance.is_pose:
        features.append(Feature.CROWDS)
    if instance.raw:
        features.append(Feature.UNKNOWN_KEYS)
    return features


def lost_features(counts: Counter[Feature], keeps: Collection[Feature]) -> list[str]:
    """What a format that keeps only some features would lose, as phrases: "frames of videos (12)"."""
    return [f"{feature.value} ({count:,})" for feature, count in counts.items() if feature not in keeps]
