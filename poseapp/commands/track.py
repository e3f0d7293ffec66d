"""Verbs on identities: tracking, mending tracks, filling and carrying poses on, choosing frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.errors import PoseError
from poseapp.commands.context import Context, finish_placing
from poseapp.dialogs.prompt import AskDialog
from poseapp.jobs.tracking import PropagateJob, SelectFramesJob, Tracked, TrackJob
from poseapp.project import edits
from poseapp.project.edits import keyframes as keyframe_edits
from poseapp.project.edits import points as edits_points
from poseapp.project.edits import tracks as track_edits
from poseapp.project.model import Edit, FrameKey, Instance
from poseapp.project.queries import selection
from poseapp.project.queries.tracks import track_instances, tracks_of
from poseapp.project.store import ProjectStore

PROPAGATED_FRAMES = 30


def track_poses(context: Context) -> int | None:
    """Who is who in all frames of the media that is in sight; the job's id."""
    session, store = context.session, context.session.store
    if store is None or session.frame is None or session.path is None:
        return None
    media = session.frame.media
    job = TrackJob(session.path, media, store.new_track_numbers()[0])

    def take(results: list[Any]) -> None:
        for result in results:
            if context.session.store is store:
                _apply_tracked(context, store, result)

    return context.runner.submit(job, on_results=take)


def _apply_tracked(context: Context, store: ProjectStore, result: Tracked) -> None:
    # Frames that somebody worked on meanwhile are left as they are now.
    same = [
        n for n, (key, instances) in enumerate(result.frames)
        if [i.id for i in store.instances(key)] == [i.id for i in instances]
        and all(now.same_as(then) for now, then in zip(store.instances(key), instances, strict=True))
    ]  # fmt: skip
    frames = [result.frames[n] for n in same]
    edit = track_edits.apply_tracks(frames, [result.numbers[n] for n in same])
    tracks = {index for n in same for index in result.numbers[n] if index is not None}
    poses = sum(len(instances) for _, instances in frames)
    if not edit.frames:
        context.window.tell("No pose was assigned another track")
    elif context.session.apply(edit):
        many = "1 track" if len(tracks) == 1 else f"{len(tracks)} tracks"
        context.window.tell(f"{many} over {poses:,} poses. Undo removes them.", "good")


def assign_track(context: Context) -> None:
    """Say who the selected pose is."""
    pose, key, store = _one(context)
    if pose is None or key is None or store is None:
        return
    choices: list[tuple[str, object]] = [("A new track", -1)]
    choices += [(f"Track {track.number}", track.number) for track in tracks_of(store, key.media)]
    if pose.track is not None:
        choices.append(("No track", None))

    def take(dialog: AskDialog) -> None:
        chosen = dialog.chosen()
        index = store.new_track_numbers()[0] if chosen == -1 else chosen
        now = [i for i in store.instances(key) if i.id == pose.id]
        if now:
            _apply(context, lambda: track_edits.assign_track(key, store.instances(key), now[0], _number(index)))

    text = "If the track is already used in this frame, the two are swapped."
    AskDialog("Assign track", text, "Assign", context.window.widget(), choices=choices).ask(take)


def swap_tracks(context: Context) -> None:
    """Two identities that were mixed up from this frame on."""
    _with_other(
        context, "Swap tracks", "From this frame on, the two tracks swap their numbers.", "Swap",
        lambda store, key, one, other: track_edits.swap_tracks(
            [*track_instances(store, one, key.media), *track_instances(store, other, key.media)], one, other, key
        ),
    )  # fmt: skip


def swap_along(context: Context) -> None:
    """Left and right of the selected pose, or of its selected points, along its track."""
    pose, key, store = _tracked(context)
    if pose is None or key is None or store is None or pose.track is None:
        return
    track, schema = pose.track, context.session.schema_of(pose)
    points = [k for i, k in context.session.selected_points if i == pose.id] or None
    choices = [("From this frame on", "rest"), ("Up to this frame", "before"), ("In all frames", "all")]

    def take(dialog: AskDialog) -> None:
        where = dialog.chosen()
        items = track_instances(
            store, track, key.media,
            key.index if where == "rest" else 0, key.index if where == "before" else None,
        )  # fmt: skip
        spared = dialog.switch is not None and dialog.switch.isChecked()
        same = [(at, result) for at, result in items if result.category == pose.category]
        _apply(
            context,
            lambda: edits_points.swap_sides_along(
                same, schema, points, only_predicted=spared, locked=context.session.locked_points
            ),
        )

    whole = "The whole pose, in one step."
    some = "The selected keypoints and their partners, in one step."
    AskDialog(
        "Swap left and right along the track", whole if points is None else some, "Swap", context.window.widget(),
        choices=choices, switch=("Keep labelled poses", True),
    ).ask(take)  # fmt: skip


def join_tracks(context: Context) -> None:
    """Another track is this one too."""
    _with_other(
        context, "Join tracks", "The poses of the other track get the number of this one.", "Join",
        lambda store, key, one, other: track_edits.join_tracks(
            [*track_instances(store, one, key.media), *track_instances(store, other, key.media)], one, other
        ),
    )  # fmt: skip


def split_track(context: Context) -> None:
    """From this frame on the selected pose's track is another."""
    pose, key, store = _tracked(context)
    if pose is not None and key is not None and store is not None and pose.track is not None:
        items, track = track_instances(store, pose.track, key.media), pose.track
        _apply(context, lambda: track_edits.split_track(items, track, key, store.new_track_numbers()[0]))


def delete_track(context: Context) -> None:
    """All poses of the selected pose's track, or those from here on."""
    pose, key, store = _tracked(context)
    if pose is None or key is None or store is None or pose.track is None:
        return
    track = pose.track
    choices = [("In all frames", "all"), ("From this frame on", "rest"), ("Up to this frame", "before")]

    def take(dialog: AskDialog) -> None:
        where = dialog.chosen()
        first = key if where == "rest" else None
        last = key if where == "before" else None
        spared = dialog.switch is not None and dialog.switch.isChecked()
        items = track_instances(store, track, key.media)
        if where == "before":
            first = FrameKey(key.media, 0)
        if where == "rest":
            last = FrameKey(key.media, max(k.index for k, _ in items))
        _apply(context, lambda: track_edits.delete_track(items, track, first, last, only_predicted=spared))

    dialog = AskDialog(
        f"Delete track {track}", "One step: Undo restores all of it.", "Delete", context.window.widget(),
        choices=choices, switch=("Keep labelled poses", True),
    )  # fmt: skip
    dialog.ask(take)


def keyframe(context: Context) -> None:
    """The selected poses are right as they are."""
    key = context.session.frame
    chosen = context.session.selected
    if key is not None and chosen:
        _apply(context, lambda: replace(edits.accept(key, chosen), text="Make keyframe"))


def interpolate_track(context: Context) -> None:
    """Fill the selected pose's track between the poses that people have made."""
    _interpolate(context, smooth=False)


def interpolate_smooth(context: Context) -> None:
    """As :func:`interpolate_track`, along curves."""
    _interpolate(context, smooth=True)


def _interpolate(context: Context, *, smooth: bool) -> None:
    pose, key, store = _tracked(context)
    if pose is None or key is None or store is None or pose.track is None:
        return
    track = pose.track
    items = track_instances(store, track, key.media)
    keyframes, predicted = keyframe_edits.predictions_between(items)
    if keyframes < 2:
        context.window.tell(
            f"Track {track} has {keyframes} of the 2 keyframes that interpolation needs. Correct or accept a pose, or "
            "press I."
        )
        return

    def fill(replace_predicted: bool) -> None:
        _apply(
            context,
            lambda: keyframe_edits.interpolate_track(
                track_instances(store, track, key.media), store.new_ids, smooth=smooth,
                replace_predicted=replace_predicted,
            ),
            "Every frame between the keyframes already has a pose",
        )  # fmt: skip

    if not predicted:
        fill(False)
        return
    AskDialog(
        "Interpolate over predictions?", f"Predictions of track {track} in frames between its keyframes: {predicted:,}",
        "Interpolate",
        context.window.widget(),
        choices=[("Replace the predictions", True), ("Keep them, fill only frames without a pose", False)],
    ).ask(lambda dialog: fill(dialog.chosen() is True))  # fmt: skip


def propagate_pose(context: Context) -> int | None:
    """Carry the selected pose on through the next frames by optical flow; the job's id."""
    pose, key, store = _one(context)
    if pose is None or key is None or store is None or context.session.path is None:
        return None
    track = pose.track if pose.track is not None else store.new_track_numbers()[0]
    job = PropagateJob(context.session.path, key, pose, store.new_ids(PROPAGATED_FRAMES), track)
    done = 0

    def take(results: list[Any]) -> None:
        nonlocal done
        for edit in results:
            if context.session.store is store and isinstance(edit, Edit) and context.session.apply(edit):
                done += 1

    def end(_outcome: object) -> None:
        frames = max(0, done - (pose.track is None))
        context.window.tell(f"Propagated through {frames} frames" if frames else "The pose is lost in the next frame")

    return context.runner.submit(job, on_results=take, on_finished=end)


def choose_frames(context: Context) -> None:
    """Find frames that are worth labelling and put them into the queue of flagged frames."""
    session, store = context.session, context.session.store
    if store is None or session.frame is None or session.path is None:
        return
    media, path = session.frame.media, session.path
    choices = [
        ("Most diverse frames", "diverse"),
        ("Evenly spaced frames", "uniform"),
        ("One frame per scene", "scenes"),
        ("Least certain predictions", "uncertain"),
    ]

    def take(dialog: AskDialog) -> None:
        count = 20 if dialog.number is None else dialog.number.value()
        job = SelectFramesJob(path, media, str(dialog.chosen()), count)
        context.runner.submit(job, on_results=queue)

    def queue(results: list[Any]) -> None:
        for result in results:
            if context.session.store is not store:
                return
            edit = selection.queue_frames(selection.frames_of(store, media, result))
            if edit.frames:
                context.session.apply(edit)
            many = "1 frame is" if len(result) == 1 else f"{len(result)} frames are"
            context.window.tell(f"{many} flagged. Choose Flagged above the list to go through them.", "good")

    dialog = AskDialog(
        "Choose frames to label", "Frames that are already labelled, reviewed or flagged are left out.", "Flag them",
        context.window.widget(), choices=choices, number_range=("How many", 1, 10_000, 20),
    )  # fmt: skip
    dialog.ask(take)


def _with_other(
    context: Context, title: str, text: str, do: str, make: Callable[[ProjectStore, FrameKey, int, int], Edit]
) -> None:
    """Ask for another track than the selected pose's, and apply an edit of the two."""
    pose, key, store = _tracked(context)
    if pose is None or key is None or store is None or pose.track is None:
        return
    one = pose.track
    others = [track.number for track in tracks_of(store, key.media) if track.number != one]
    if not others:
        context.window.tell(f"Track {one} is the only one")
        return
    here = {i.track for i in store.instances(key)}
    others.sort(key=lambda index: (index not in here, index))
    dialog = AskDialog(
        title, f"Track {one} and another. {text}", do, context.window.widget(),
        choices=[(f"Track {index}", index) for index in others],
    )  # fmt: skip
    dialog.ask(lambda asked: _apply(context, lambda: make(store, key, one, _number(asked.chosen()) or 0)))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _one(context: Context) -> tuple[Instance | None, FrameKey | None, ProjectStore | None]:
    selected = context.session.selected
    if len(selected) != 1:
        context.window.tell("Select one pose first")
        return None, None, None
    return selected[0], context.session.frame, context.session.store


def _tracked(context: Context) -> tuple[Instance | None, FrameKey | None, ProjectStore | None]:
    result = _one(context)
    if result[0] is not None and result[0].track is None:
        context.window.tell("This pose has no track yet: use Track > Track poses, or Assign track")
        return None, None, None
    return result


def _apply(context: Context, make: Callable[[], Edit], unchanged: str = "Nothing to change") -> None:
    finish_placing(context)
    try:
        edit = make()
    except PoseError as error:
        context.window.tell(error.message, "warning")
        return
    if edit.frames:
        context.session.apply(edit)
    else:
        context.window.tell(unchanged)
