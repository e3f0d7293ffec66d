"""Every action of the window in one table, of which menus, tool bar, palette and the page of shortcuts are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from poseapp.app.shortcuts import default_keys
from poseapp.canvas.tools import TOOLS
from poseapp.canvas.tools.base import ToolInfo
from poseapp.commands import (
    category,
    edit,
    export,
    file,
    model,
    navigation,
    playback,
    pose,
    project,
    relink,
    review,
    track,
    view,
)
from poseapp.commands.context import Context


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        id: names it in settings and tests.
        run: does it; what it returns is of no interest.
        text: in menus and palette; ends in ``...`` when a dialog follows.
        menu: the menu that lists it; "" for none (palette and shortcut only).
        keys: default shortcuts, portable text of QKeySequence; the first is shown.
        icon: file of ``resources/icons``, without its ending; "" for none.
        tip: what it does, in a sentence.
        needs: what must be there, one of NEEDS; "" for nothing.
        check: the switch it shows, for actions that toggle.
        group: a line separates actions of one menu with different groups.
        toolbar: group in the tool bar, counted from 1 at the top; 0 to leave it out.
        under: the submenu that lists it; "" for none.
        writes: whether it changes the project, and so is disabled where the project is open for reading only.
    """

    id: str
    run: Callable[[Context], object]
    text: str
    menu: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    tip: str = ""
    needs: str = ""
    check: str = ""
    group: int = 0
    toolbar: int = 0
    under: str = ""
    writes: bool = False

    @property
    def name(self) -> str:
        """The text without the dots that announce a dialog."""
        return self.text.removesuffix("...")


NEEDS = ("project", "frame", "selection", "points", "predictions", "undo", "redo")
FILE, EDIT, POSE, TRACK, VIEW, GO, MODELS, HELP = "File", "Edit", "Pose", "Track", "View", "Go", "Models", "Help"
MENUS = (FILE, EDIT, POSE, TRACK, VIEW, GO, MODELS, HELP)


def _tool_action(info: ToolInfo) -> Action:
    """The action that takes a tool of the canvas."""
    return Action(
        info.action,
        partial(view.choose_tool, tool=info.id),
        info.title,
        info.menu,
        info.keys,
        info.icon,
        info.tip,
        info.needs,
        check=f"tool:{info.id}",
        group=info.group,
        toolbar=info.toolbar,
        writes=info.writes,
    )


# A table reads better in its own columns than in those of the formatter.
# fmt: off
ACTIONS: tuple[Action, ...] = (
    Action("open_folder", file.open_folder, "Open folder...", FILE, ("Ctrl+O",), "open-folder",
           "Label the images in a folder"),
    Action("open_images", file.open_images, "Open images...", FILE, ("Ctrl+Shift+O",), "open-image",
           "Label the images you choose"),
    Action("open_video", file.open_video, "Open video...", FILE, ("Ctrl+Alt+O",), "open-video",
           "Label the frames of a video"),
    Action("open_coco", file.open_coco, "Open COCO file...", FILE, (), "import",
           "Correct the keypoints of a COCO annotation file"),
    Action("open_labels", file.open_labels, "Open labels...", FILE, (), "labels",
           "Labels of SLEAP, DeepLabCut or any other known format, with their video or images"),
    Action("import_labels", file.import_labels, "Import labels...", FILE, (), "import",
           "Labels or predictions into the open project; what they change is shown first", "project", writes=True),
    Action("open_project", file.open_project, "Open project...", FILE, (), "open-project",
           "Continue a .pose project"),
    Action("find_video", relink.find_video, "Find video...", FILE, (), "open-project",
           "Locate the video of this frame; it is compared with the one that was labelled", "frame", writes=True),
    Action("open_sample", file.open_sample, "Open sample", FILE, (), "person", "Three photos to try everything on"),
    Action("export_coco", file.export_coco, "Export COCO...", FILE, ("Ctrl+E",), "export",
           "Write the labels as a COCO keypoint file", "project", group=1, toolbar=6),
    Action("export_labels", export.export_labels, "Export labels...", FILE, (), "export",
           "All labels in one of the label formats that can be written", "project", group=1),
    Action("export_tracks", export.export_tracks, "Export table...", FILE, (), "export",
           "All poses with their tracks and times, as CSV, Parquet or a DeepLabCut table", "frame", group=1),
    Action("export_frames", export.export_frames, "Export labelled frames...", FILE, (), "export",
           "The labelled frames as images with a COCO file, for training elsewhere", "project", group=1),
    Action("export_video", export.export_video, "Export labelled video...", FILE, (), "export",
           "An mp4 video with the poses drawn on it", "frame", group=1),
    Action("save_copy", project.save_copy, "Save a copy...", FILE, (), "export",
           "A copy of the whole project, to keep or to share", "project", group=1),
    Action("snapshots", project.snapshots, "Snapshots...", FILE, (), "history",
           "Named states of the project that you can return to", "project", group=1),
    Action("close_project", file.close_project, "Close project", FILE, ("Ctrl+W",), "close",
           "Return to the start page", "project", group=2),
    Action("quit", file.quit, "Quit", FILE, ("Ctrl+Q",), "", "Everything is already saved", group=2),

    Action("undo", edit.undo, "Undo", EDIT, ("Ctrl+Z",), "undo", "Undo the last step, even after a restart", "undo",
           toolbar=2, writes=True),
    Action("redo", edit.redo, "Redo", EDIT, ("Ctrl+Shift+Z", "Ctrl+Y"), "redo", "Redo the last undone step", "redo",
           toolbar=2, writes=True),
    Action("copy", edit.copy, "Copy pose", EDIT, ("Ctrl+C",), "copy", "Copy the selected poses", "selection",
           group=1),
    Action("paste", edit.paste, "Paste pose", EDIT, ("Ctrl+V",), "paste", "Put the copied poses into this frame",
           "frame", group=1, writes=True),
    Action("duplicate", edit.duplicate, "Duplicate pose", EDIT, ("Ctrl+D",), "duplicate",
           "Copy the selected pose next to itself", "selection", group=1, writes=True),
    Action("copy_previous", edit.copy_previous, "Poses from previous frame", EDIT, ("Ctrl+Shift+V",), "previous",
           "Copy all poses of the previous frame", "frame", group=1, writes=True),
    Action("delete", edit.delete, "Delete", EDIT, ("Delete",), "delete",
           "Delete the selected points (they become absent), or the selected poses", "selection", group=2,
           writes=True),
    Action("select_all", edit.select_all, "Select all poses", EDIT, ("Ctrl+A",), "select",
           "Select every pose of the frame", "frame", group=2),

    Action("settings", view.settings, "Settings...", EDIT, ("Ctrl+,",), "settings",
           "Shortcuts, appearance and storage folders", group=3),

    *(_tool_action(tool.info) for tool in TOOLS),
    Action("place_missing", view.place_missing, "Place missing points", POSE, ("Shift+P",), "place",
           "Click the missing keypoints of the selected pose in order; Tab skips, Enter finishes", "selection",
           writes=True),
    Action("choose_kind", category.choose_kind, "Skeleton for new poses...", POSE, (), "skeleton",
           "Choose the skeleton of new poses: person, hand, face, animal or your own", "project", writes=True),
    Action("edit_points", category.edit_points, "Edit skeleton...", POSE, (), "skeleton",
           "Names, order, left/right pairs, limbs, parts and colors of the keypoints", "project", writes=True),
    Action("change_points", category.change_points, "Convert to another skeleton...", POSE, (), "skeleton",
           "Convert all poses of a category to another skeleton, such as 17 to 133 keypoints", "project",
           writes=True),
    Action("accept", review.accept, "Accept prediction", POSE, ("Return", "Enter"), "accept",
           "The selected predictions become labels", "predictions", group=1, toolbar=4, writes=True),
    Action("accept_all", review.accept_all, "Accept all in frame", POSE, ("Shift+Return", "Shift+Enter"),
           "accept-all", "All predictions of this frame become labels", "predictions", group=1, writes=True),
    Action("accept_everywhere", review.accept_everywhere, "Accept all in project", POSE, (), "accept-all",
           "All predictions in the project become labels, in one step", "project", group=1, writes=True),
    Action("reject", review.reject, "Reject prediction", POSE, ("Backspace",), "reject",
           "Remove the selected predictions", "predictions", group=1, toolbar=4, writes=True),
    Action("assist", pose.assist, "Assist", POSE, ("Shift+A",), "run",
           "After you drag a keypoint, the model proposes the others: Enter accepts the proposal, Esc dismisses it",
           check="assist", group=1),
    Action("visible", edit.visible, "Visible", POSE, ("Shift+Q",), "visible",
           "Mark the hovered or selected keypoints as visible", "frame", group=2, writes=True),
    Action("occluded", edit.occluded, "Occluded", POSE, ("Q",), "occluded",
           "Mark the hovered or selected keypoints as occluded: hidden, position known", "frame", group=2,
           writes=True),
    Action("absent", edit.absent, "Absent", POSE, ("O",), "absent",
           "Mark the hovered or selected keypoints as absent: not labelled", "frame", group=2, writes=True),
    Action("swap", edit.swap, "Swap left and right", POSE, ("X",), "swap", "Exchange left and right in the selection",
           "selection", group=3, writes=True),
    Action("mirror", edit.mirror, "Mirror pose", POSE, ("Shift+X",), "mirror",
           "Mirror the selected pose about its center", "selection", group=3, writes=True),

    Action("change_category", pose.change_category, "Change category...", POSE, (), "skeleton",
           "Give the selected poses another category; keypoints of the same name are kept", "selection", group=4,
           writes=True),
    Action("merge_poses", pose.merge_poses, "Merge poses", POSE, ("M",), "", "Combine the selected poses into one",
           "selection", group=4, writes=True),
    Action("split_pose", pose.split_pose, "Split off keypoints", POSE, ("Shift+M",), "",
           "Turn the selected keypoints into a pose of their own", "points", group=4, writes=True),
    Action("delete_below", review.delete_below, "Delete below a score...", POSE, (), "delete",
           "Delete predictions below a score in the whole project, in one step", "project", group=4, writes=True),
    Action("check_labels", review.check_labels, "Check labels...", POSE, (), "check",
           "Find probable mistakes in all labels of the project, and fix what can be fixed", "project", group=4),
    Action("nothing_here", review.nothing_here, "No objects in this frame", POSE, ("Ctrl+Shift+N",), "absent",
           "Mark this frame as empty and reviewed; it is exported as an image without objects", "frame",
           check="negative", group=4, writes=True),

    Action("track_poses", track.track_poses, "Track poses", TRACK, (), "person",
           "Link poses across all frames of this video or folder, in one step", "frame", writes=True),
    Action("assign_track", track.assign_track, "Assign track...", TRACK, ("T",), "person",
           "Set the track of the selected pose", "selection", writes=True),
    Action("swap_tracks", track.swap_tracks, "Swap tracks from here on...", TRACK, ("Ctrl+T",), "swap",
           "Swap two tracks that were mixed up, from this frame on", "selection", group=1, writes=True),
    Action("swap_along", track.swap_along, "Swap left and right along the track...", TRACK, ("Ctrl+Shift+X",), "swap",
           "Fix left and right that a model mixed up: the selected keypoints, or the whole pose", "selection",
           group=1, writes=True),
    Action("join_tracks", track.join_tracks, "Join with track...", TRACK,
           tip="Merge another track into the selected one", needs="selection", group=1, writes=True),
    Action("split_track", track.split_track, "Split track here", TRACK, tip="Start a new track at this frame",
           needs="selection", group=1, writes=True),
    Action("delete_track", track.delete_track, "Delete track...", TRACK, (), "delete",
           "Delete all of its poses, or those from this frame on", "selection", group=1, writes=True),
    Action("keyframe", track.keyframe, "Make keyframe", TRACK, ("I",), "accept",
           "Confirm the selected poses; interpolation passes through them", "selection", group=2, writes=True),
    Action("interpolate_track", track.interpolate_track, "Interpolate", TRACK, ("Shift+I",), "",
           "Fill the track between labelled poses, along straight lines", "selection", group=2, writes=True),
    Action("interpolate_smooth", track.interpolate_smooth, "Interpolate smoothly", TRACK,
           tip="Fill the track between labelled poses, along smooth curves", needs="selection", group=2, writes=True),
    Action("propagate_pose", track.propagate_pose, "Propagate pose", TRACK, ("Ctrl+P",), "next",
           "Follow the pose through the next 30 frames (optical flow)", "selection", group=2, writes=True),
    Action("choose_frames", track.choose_frames, "Choose frames to label...", TRACK, (), "flag",
           "Flag frames worth labelling: diverse, evenly spaced or uncertain", "frame", group=3, writes=True),

    Action("nudge_left", navigation.nudge_left, "Nudge left, or previous frame", "", ("Left",), "",
           "Move the selected keypoints 1 px; with no selection, go to the previous frame", "frame"),
    Action("nudge_right", navigation.nudge_right, "Nudge right, or next frame", "", ("Right",), "",
           "Move the selected keypoints 1 px; with no selection, go to the next frame", "frame"),
    Action("nudge_up", navigation.nudge_up, "Nudge up", "", ("Up",), "", "Move the selection 1 px", "selection",
           writes=True),
    Action("nudge_down", navigation.nudge_down, "Nudge down", "", ("Down",), "", "Move the selection 1 px",
           "selection", writes=True),
    Action("nudge_left_far", navigation.nudge_left_far, "Nudge left 10 px", "", ("Shift+Left",), "",
           "Move the selection 10 px", "selection", writes=True),
    Action("nudge_right_far", navigation.nudge_right_far, "Nudge right 10 px", "", ("Shift+Right",), "",
           "Move the selection 10 px", "selection", writes=True),
    Action("nudge_up_far", navigation.nudge_up_far, "Nudge up 10 px", "", ("Shift+Up",), "",
           "Move the selection 10 px", "selection", writes=True),
    Action("nudge_down_far", navigation.nudge_down_far, "Nudge down 10 px", "", ("Shift+Down",), "",
           "Move the selection 10 px", "selection", writes=True),

    Action("zoom_in", view.zoom_in, "Zoom in", VIEW, ("Ctrl++", "Ctrl+="), "zoom-in",
           "Enlarge the image (the wheel zooms at the cursor)", "frame"),
    Action("zoom_out", view.zoom_out, "Zoom out", VIEW, ("Ctrl+-",), "zoom-out", "Shrink the image", "frame"),
    Action("fit", view.fit, "Fit image", VIEW, ("F", "Ctrl+0"), "fit", "Show the whole image", "frame", toolbar=5),
    Action("actual_size", view.actual_size, "Actual size", VIEW, ("Ctrl+1",), "actual-size",
           "One image pixel per screen pixel", "frame"),
    Action("zoom_pose", view.zoom_pose, "Zoom to pose", VIEW, ("Shift+F",), "zoom-instance",
           "Fill the view with the selected pose", "frame"),
    Action("hide_others", view.hide_others, "Hide other poses", VIEW, ("H",), "hide-others",
           "Show only the selected poses", check="hide_others", group=1),
    Action("show_labels", view.show_labels, "Keypoint names", VIEW, ("L",), "labels",
           "Show the names of hovered and selected keypoints", check="show_labels", group=1),
    Action("show_bones", view.show_bones, "Limbs", VIEW, ("B",), "limbs", "Show the lines between keypoints",
           check="show_bones", group=1),
    Action("show_boxes", view.show_boxes, "Boxes", VIEW, ("G",), "boxes", "Show the box of every pose",
           check="show_boxes", group=1),
    Action("show_missing", view.show_missing, "Missing points as ghosts", VIEW, ("Shift+G",), "place",
           "Show the missing keypoints of a selected prediction faintly; drag one to its position "
           "(right button: occluded)",
           check="show_missing", group=1),
    Action("show_minimap", view.show_minimap, "Overview", VIEW,
           tip="A small view of the whole image while you are zoomed in", check="show_minimap", group=1),
    Action("hide_poses", pose.hide_poses, "Hide poses", VIEW, ("Shift+H",), "hide", "Hide the selected poses",
           "selection", group=1),
    Action("lock_poses", pose.lock_poses, "Lock poses", VIEW, ("Shift+L",), "lock",
           "Protect the selected poses from edits", "selection", group=1),
    Action("hide_points", pose.hide_points, "Hide points", VIEW, ("Ctrl+H",), "", "Hide the selected keypoints",
           "points", group=1),
    Action("lock_points", pose.lock_points, "Lock or unlock points", VIEW, ("Ctrl+L",), "lock",
           "Protect the selected keypoints from edits until they are unlocked", "points", group=1),
    Action("show_all_poses", pose.show_all_poses, "Show and unlock all", VIEW, ("Ctrl+Shift+H",), "show",
           "Show all that is hidden and unlock all that is locked", "project", group=1),
    Action("next_part", pose.next_part, "Focus next part", VIEW, ("Shift+B",), "",
           "Show one part at a time: body, feet, face, hands, then all", "frame", group=1),
    Action("color_side", view.color_side, "Color by side", VIEW, tip="Left, right and middle", check="color:side",
           group=2, under="Color"),
    Action("color_limb", view.color_limb, "Color by limb", VIEW, tip="The colors of the skeleton", check="color:limb",
           group=2, under="Color"),
    Action("color_instance", view.color_instance, "Color by pose", VIEW, tip="One color per pose",
           check="color:instance", group=2, under="Color"),
    Action("color_score", view.color_score, "Color by score", VIEW, tip="The confidence of the model",
           check="color:score", group=2, under="Color"),
    Action("color_part", view.color_part, "Color by part", VIEW,
           tip="Body, face, hands; set your own colors in the list of poses", check="color:part", group=2,
           under="Color"),
    Action("color_source", view.color_source, "Color by source", VIEW, tip="Made by a person or by a model",
           check="color:source", group=2, under="Color"),
    Action("theme_system", view.theme_system, "System theme", VIEW, tip="Dark or light, like the desktop",
           check="theme:system", group=2, under="Theme"),
    Action("theme_dark", view.theme_dark, "Dark theme", VIEW, (), "theme-dark", "Light text on a dark background",
           check="theme:dark", group=2, under="Theme"),
    Action("theme_light", view.theme_light, "Light theme", VIEW, (), "theme-light", "Dark text on a light background",
           check="theme:light", group=2, under="Theme"),

    Action("next_frame", navigation.next_frame, "Next frame", GO, ("D", "."), "next", "Go to the next frame",
           "frame"),
    Action("previous_frame", navigation.previous_frame, "Previous frame", GO, ("A", ","), "previous",
           "Go to the previous frame", "frame"),
    Action("next_ten", navigation.next_ten, "Ten frames forward", GO, ("Ctrl+Right",), "", "Go ten frames forward",
           "frame"),
    Action("previous_ten", navigation.previous_ten, "Ten frames back", GO, ("Ctrl+Left",), "", "Go ten frames back",
           "frame"),
    Action("first_frame", navigation.first_frame, "First frame", GO, ("Home",), "first", "Go to the first frame",
           "frame"),
    Action("last_frame", navigation.last_frame, "Last frame", GO, ("End",), "last", "Go to the last frame", "frame"),
    Action("go_to_frame", navigation.go_to_frame, "Go to frame...", GO, ("Ctrl+G",), "next",
           "Go to a frame by its number", "frame"),
    Action("play", playback.play, "Play or pause", GO, ("K",), "play", "Play the frames in order", "frame",
           check="playing", group=1),
    Action("mark_in", playback.mark_in, "Set range start", GO, ("Shift+Home", "["), "",
           "First frame of the range to play and run on", "frame", group=1),
    Action("mark_out", playback.mark_out, "Set range end", GO, ("Shift+End", "]"), "",
           "Last frame of the range to play and run on", "frame", group=1),
    Action("clear_range", playback.clear_range, "Clear range", GO, tip="Play and run on all frames", needs="frame",
           group=1),
    Action("next_labelled", playback.next_labelled, "Next labelled", GO, ("Alt+Right",), "",
           "Go to the next frame with labels", "frame", group=2, under="Jump"),
    Action("previous_labelled", playback.previous_labelled, "Previous labelled", GO, ("Alt+Left",), "",
           "Go to the previous frame with labels", "frame", group=2, under="Jump"),
    Action("next_predicted", playback.next_predicted, "Next predicted", GO, ("Alt+Shift+Right",), "",
           "Go to the next frame with predictions", "frame", group=2, under="Jump"),
    Action("previous_predicted", playback.previous_predicted, "Previous predicted", GO, ("Alt+Shift+Left",), "",
           "Go to the previous frame with predictions", "frame", group=2, under="Jump"),
    Action("next_flagged", playback.next_flagged, "Next flagged", GO, ("Ctrl+Shift+Right",), "",
           "Go to the next flagged frame", "frame", group=2, under="Jump"),
    Action("previous_flagged", playback.previous_flagged, "Previous flagged", GO, ("Ctrl+Shift+Left",), "",
           "Go to the previous flagged frame", "frame", group=2, under="Jump"),
    Action("next_keyframe", playback.next_keyframe, "Next keyframe", GO, ("Alt+Down",), "",
           "Go to the next keyframe of the selected pose's track, or of any track", "frame", group=2, under="Jump"),
    Action("previous_keyframe", playback.previous_keyframe, "Previous keyframe", GO, ("Alt+Up",), "",
           "Go to the previous keyframe of the selected pose's track, or of any track", "frame", group=2,
           under="Jump"),
    Action("next_unlabelled", playback.next_unlabelled, "Next unlabelled", GO, ("U",), "",
           "Go to the next frame without labels", "frame", group=2, under="Jump"),
    Action("previous_unlabelled", playback.previous_unlabelled, "Previous unlabelled", GO, ("Shift+U",), "",
           "Go to the previous frame without labels", "frame", group=2, under="Jump"),
    Action("between_keyframes", playback.between_keyframes, "Middle between keyframes", GO, ("Shift+K",), "",
           "Go halfway between the previous and the next keyframe, where interpolation is least certain", "frame",
           group=2, under="Jump"),
    Action("track_start", playback.track_start, "Start of the track", GO, ("Alt+Home",), "",
           "Go to the first frame of the selected pose's track", "selection", group=2, under="Jump"),
    Action("track_end", playback.track_end, "End of the track", GO, ("Alt+End",), "",
           "Go to the last frame of the selected pose's track", "selection", group=2, under="Jump"),
    Action("next_review", review.next_review, "Next to review", GO, ("Space",), "next",
           "Go to the next frame with predictions, least certain first", "project", group=3),
    Action("previous_review", review.previous_review, "Previous to review", GO, ("Shift+Space",), "previous",
           "Go to the previous frame in the review queue", "project", group=3),
    Action("next_pose", navigation.next_pose, "Next pose", GO, ("Tab",), "", "Select the next pose of the frame",
           "frame", group=4),
    Action("previous_pose", navigation.previous_pose, "Previous pose", GO, ("Shift+Tab", "Backtab"), "",
           "Select the previous pose", "frame", group=4),
    Action("next_point", navigation.next_point, "Next keypoint", GO, ("Ctrl+Down",), "",
           "Select the next keypoint of the pose", "frame", group=4),
    Action("previous_point", navigation.previous_point, "Previous keypoint", GO, ("Ctrl+Up",), "",
           "Select the previous keypoint", "frame", group=4),
    *(Action(f"select_{n}", partial(navigation.select_nth_pose, index=n), f"Select pose {n}", "", (str(n),), "",
             f"Pose {n} of the frame", "frame")
      for n in range(1, 10)),
    Action("flag", review.flag, "Flag frame", GO, ("Ctrl+F",), "flag",
           "Mark this frame so that you can find it again", "frame", check="flagged", group=5, writes=True),
    Action("reviewed", review.reviewed, "Mark as reviewed", GO, ("Ctrl+Return",), "check",
           "Mark this frame as reviewed; a frame without poses counts as empty", "frame", check="reviewed", group=5,
           writes=True),

    Action("run_frame", model.run_frame, "Run on this frame", MODELS, ("Ctrl+R",), "run",
           "Run the model on this frame", "frame", toolbar=3, writes=True),
    Action("run_range", model.run_range, "Run on...", MODELS, ("Ctrl+Shift+R",), "run-all",
           "Choose the model, the frames and the score threshold", "frame", toolbar=3, writes=True),
    Action("cancel_jobs", model.cancel_jobs, "Cancel running job", MODELS, ("Ctrl+.",), "stop",
           "Stop; results so far are kept", group=1),
    Action("models", model.models, "Models...", MODELS, ("Ctrl+M",), "model", "All models, bundled and your own",
           group=2),
    Action("fine_tune", model.fine_tune, "Fine-tune...", MODELS, ("Ctrl+Shift+T",), "train",
           "Fine-tune a model on the labels of this project", "project", group=2, toolbar=6),

    Action("palette", view.palette, "Command palette", HELP, ("Ctrl+K",), "palette", "Find any command by name",
           toolbar=7),
    Action("keys", view.keys, "Keyboard shortcuts", HELP, ("F1",), "help", "All shortcuts on one page"),
    Action("import_report", view.import_report, "Import report...", HELP, (), "warning",
           "All remarks of all imports into this project, and what can be fixed", "project", group=1),
    Action("report", view.report, "Report...", HELP, (), "warning",
           "All remarks of recent imports, exports and runs: what was left out or changed", group=1),
    Action("about", view.about, "About poseapp", HELP, (), "info", "Version, license and device", group=1),
)
# fmt: on

BY_ID = {action.id: action for action in ACTIONS}
DEFAULT_KEYS = default_keys(ACTIONS)
"""Shortcuts of every action before a person changes them."""
