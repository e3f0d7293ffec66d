"""Verbs that play, mark a range, and jump along a video: to labels, predictions, flags, keyframes, ends of a track."""

from __future__ import annotations

from poseapp.commands.context import Context
from poseapp.project.model import FrameKey
from poseapp.project.queries import neighbors
from poseapp.project.queries.neighbors import Mark

KEEPS_PLAYING = frozenset({"play", "mark_in", "mark_out", "clear_range", "zoom_in", "zoom_out", "fit", "actual_size"})
"""Verbs that do not stop what plays."""


def play(context: Context) -> None:
    if not context.window.playback.playing and context.session.is_blocked():
        return
    context.window.playback.toggle()


def mark_in(context: Context) -> None:
    key = context.window.playback.frame
    if key is not None:
        context.session.frame_range.set_first(key)


def mark_out(context: Context) -> None:
    key = context.window.playback.frame
    if key is not None:
        context.session.frame_range.set_last(key)


def clear_range(context: Context) -> None:
    context.session.frame_range.clear()


def next_unlabelled(context: Context) -> None:
    _to_mark(context, Mark.UNLABELLED, False)


def previous_unlabelled(context: Context) -> None:
    _to_mark(context, Mark.UNLABELLED, True)


def next_labelled(context: Context) -> None:
    _to_mark(context, Mark.LABELLED, False)


def previous_labelled(context: Context) -> None:
    _to_mark(context, Mark.LABELLED, True)


def next_predicted(context: Context) -> None:
    _to_mark(context, Mark.PREDICTED, False)


def previous_predicted(context: Context) -> None:
    _to_mark(context, Mark.PREDICTED, True)


def next_flagged(context: Context) -> None:
    _to_mark(context, Mark.FLAGGED, False)


def previous_flagged(context: Context) -> None:
    _to_mark(context, Mark.FLAGGED, True)


def _to_mark(context: Context, mark: Mark, back: bool) -> None:
    session = context.session
    if session.store is None or session.frame is None:
        return
    target = neighbors.next_marked(session.store, session.frame, mark, back)
    if target is None:
        context.window.tell(f"No {mark} frame {'before' if back else 'after'} this one")
    else:
        session.go_to(target)


def next_keyframe(context: Context) -> None:
    _to_keyframe(context, False)


def previous_keyframe(context: Context) -> None:
    _to_keyframe(context, True)


def _to_keyframe(context: Context, back: bool) -> None:
    session = context.session
    if session.store is None or session.frame is None:
        return
    track = _track(context)
    target = neighbors.next_keyframe(session.store, session.frame, track, back)
    if target is None:
        context.window.tell("No keyframe before this one" if back else "No keyframe after this one")
    else:
        _go_with(context, target, track)


def between_keyframes(context: Context) -> None:
    session = context.session
    if session.store is None or session.frame is None:
        return
    track = _track(context)
    target = neighbors.between_keyframes(session.store, session.frame, track)
    if target is None:
        context.window.tell("There is no keyframe on both sides of this frame")
    else:
        _go_with(context, target, track)


def track_start(context: Context) -> None:
    _to_end(context, 0)


def track_end(context: Context) -> None:
    _to_end(context, 1)


def _to_end(context: Context, which: int) -> None:
    session, track = context.session, _track(context)
    if session.store is None or session.frame is None:
        return
    if track is None:
        context.window.tell("The selected pose has no track")
        return
    ends = neighbors.track_ends(session.store, session.frame.media, track)
    if ends is not None:
        _go_with(context, FrameKey(session.frame.media, ends[which]), track)


def _track(context: Context) -> int | None:
    return next((i.track for i in context.session.selected if i.track is not None), None)


def _go_with(context: Context, target: FrameKey, track: int | None) -> None:
    """Go to a frame and have the same track selected there."""
    session = context.session
    session.go_to(target)
    if track is not None:
        session.select(instances=[i.id for i in session.instances if i.track == track])
