"""Edits: pure functions from instances to the reversible step that changes them."""

from poseapp.project.edits.basic import (
    add_instance,
    combined,
    cycle_visibility,
    delete_instances,
    make_instance,
    mirror,
    move_box,
    move_keypoints,
    paste,
    set_category,
    set_frame_state,
    set_track,
    set_visibility,
    swap_sides,
    transform_pose,
)
from poseapp.project.edits.predictions import accept, accept_frames, add_predictions, delete_below_score, reject

__all__ = [
    "accept",
    "accept_frames",
    "add_instance",
    "add_predictions",
    "combined",
    "cycle_visibility",
    "delete_below_score",
    "delete_instances",
    "make_instance",
    "mirror",
    "move_box",
    "move_keypoints",
    "paste",
    "reject",
    "set_category",
    "set_frame_state",
    "set_track",
    "set_visibility",
    "swap_sides",
    "transform_pose",
]
