"""Tracks of poses through a video: tracker, assignment, motion, similarity; poses between keyframes; optical flow."""
