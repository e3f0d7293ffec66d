"""Render resources/sample/walk_and_wave.mp4: a figure walks in, turns to the viewer and waves.

    python tools/make_sample_video.py [OUT.mp4]

Everything is drawn here, from a skeleton of spatial joints projected straight onto the picture; it gives the same bytes
on the same FFmpeg. 640x360, 30 frames a second, 3 seconds, H.264.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Point = npt.NDArray[np.float64]
Joints = dict[str, Point]
Color = tuple[int, int, int]

WIDTH, HEIGHT, RATE, SECONDS = 640, 360, 30, 3
FINE = 3  # drawn this much larger, then averaged: soft edges in every direction
TURN_FROM, TURN_TO = 1.35, 1.75  # seconds: walking before, waving after
STRIDE_SECONDS, SPEED = 1.0, 150.0  # a double step; pixels a second
GROUND, UNIT = 322.0, 262.0  # y of the soles; height of the figure in pixels

SKIN, HAIR, SHIRT, TROUSERS, SHOE = (224, 172, 136), (58, 40, 32), (46, 98, 168), (52, 56, 70), (120, 44, 40)
INK = (44, 30, 26)


def smooth(t: float) -> float:
    """0 to 1 with level ends."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def pose(time: float) -> tuple[Joints, float]:
    """Joints in body axes (x to the subject's left, y up, z ahead; height 1) and the yaw (0 = facing the viewer)."""
    turned = smooth((time - TURN_FROM) / (TURN_TO - TURN_FROM))
    walking = 1.0 - turned
    phase = 2 * math.pi * time / STRIDE_SECONDS
    joints: Joints = {}
    lift = 0.012 * walking * math.cos(2 * phase)

    def at(x: float, y: float, z: float) -> Point:
        return np.array([x, y + lift, z])

    def down(start: Point, length: float, angle: float, out: float = 0.0) -> Point:
        """End of a bone hanging from ``start``, swung ahead by ``angle`` and sideways by ``out`` (radians)."""
        hang = math.cos(out)
        return start + length * np.array([math.sin(out), -math.cos(angle) * hang, math.sin(angle) * hang])

    joints["neck"], joints["head"], joints["pelvis"] = at(0, 0.84, 0.01), at(0, 0.925, 0.03), at(0, 0.53, 0)
    for side, sign, offset in (("left", 1, 0.0), ("right", -1, math.pi)):
        swing = walking * math.sin(phase + offset)
        joints[f"{side}_hip"] = at(sign * 0.055, 0.52, 0)
        thigh = 0.42 * swing + 0.06 * walking
        bend = walking * (0.18 + 0.62 * max(0.0, math.cos(phase + offset)) ** 2)
        joints[f"{side}_knee"] = down(joints[f"{side}_hip"], 0.245, thigh, sign * 0.03)
        joints[f"{side}_ankle"] = down(joints[f"{side}_knee"], 0.235, thigh - bend)
        tilt = max(0.0, bend - 0.3) * 0.7
        joints[f"{side}_toe"] = joints[f"{side}_ankle"] + np.array([sign * 0.012, -0.035 - 0.05 * tilt, 0.085])
        joints[f"{side}_shoulder"] = at(sign * 0.105, 0.795, 0)
        arm, fold = -0.5 * swing, 0.25 + 0.25 * walking
        out = sign * (0.1 + 0.04 * turned)
        joints[f"{side}_elbow"] = down(joints[f"{side}_shoulder"], 0.165, arm, out)
        joints[f"{side}_wrist"] = down(joints[f"{side}_elbow"], 0.15, arm + fold, out * 0.3)
    raised = smooth((time - TURN_FROM - 0.1) / 0.45)
    wave = 0.42 * math.sin(2 * math.pi * 1.6 * (time - TURN_TO))
    shoulder = joints["left_shoulder"]
    upper = 0.14 + raised * 1.75
    elbow = shoulder + 0.165 * np.array([math.sin(upper), -math.cos(upper), 0.15 * raised])
    fore = upper + raised * (0.95 + wave)
    hand = elbow + 0.15 * np.array([math.sin(fore), -math.cos(fore), 0.2 * raised])
    joints["left_elbow"] = joints["left_elbow"] * (1 - raised) + elbow * raised
    joints["left_wrist"] = joints["left_wrist"] * (1 - raised) + hand * raised
    yaw = math.pi / 2 * (1 - turned) * 0.86
    return joints, yaw


class Camera:
    """Straight projection of body axes onto the enlarged picture; nearer is a larger third number."""

    def __init__(self, x: float, yaw: float) -> None:
        self.x, self.cos, self.sin = x, math.cos(yaw), math.sin(yaw)

    def __call__(self, point: Point) -> Point:
        x, y, z = point
        across, near = x * self.cos + z * self.sin, z * self.cos - x * self.sin
        return np.array([(self.x + UNIT * across) * FINE, (GROUND - UNIT * y) * FINE, near])


def shade(color: Color, factor: float) -> Color:
    r, g, b = (int(min(255, max(0, c * factor))) for c in color)
    return r, g, b


def bone(image: Image, start: Point, end: Point, widths: tuple[float, float], color: Color) -> None:
    """A limb with round ends that grows thinner, lit from the upper left."""
    depth = 1.0 + 0.9 * float(start[2] + end[2]) / 2
    for factor, shrink, shift in ((0.78, 1.0, 0.0), (1.0, 0.78, -0.12), (1.1, 0.4, -0.26)):
        a, b = (w * UNIT * FINE / 2 for w in widths)
        p, q = start[:2] + shift * a, end[:2] + shift * b
        along = (q - p) / max(float(np.linalg.norm(q - p)), 1e-6)
        normal = np.array([-along[1], along[0]])
        wide, thin = normal * a * shrink, normal * b * shrink
        corners = np.array([p + wide, q + thin, q - thin, p - wide])
        tone = shade(color, factor * (0.82 + 0.18 * depth))
        cv2.fillConvexPoly(image, np.round(corners).astype(np.int32), tone)
        for center, radius in ((p, a), (q, b)):
            cv2.circle(image, (round(center[0]), round(center[1])), max(1, round(radius * shrink)), tone, -1)


def torso(image: Image, joints: Joints, camera: Camera) -> None:
    """Shirt and trunk: thick bones across and down, so that it holds from every side."""
    p = {name: camera(point) for name, point in joints.items()}
    bone(image, p["pelvis"], (p["neck"] + p["pelvis"]) / 2, (0.135, 0.15), SHIRT)
    bone(image, p["left_hip"], p["right_hip"], (0.1, 0.1), TROUSERS)
    sides = ("left", "right")
    chest = {s: camera(joints[f"{s}_shoulder"] * np.array([0.72, 1, 1]) - np.array([0, 0.035, 0])) for s in sides}
    waist = {s: camera(joints[f"{s}_hip"] * np.array([0.8, 1, 1]) + np.array([0, 0.045, 0])) for s in sides}
    body = np.array([chest["left"][:2], chest["right"][:2], waist["right"][:2], waist["left"][:2]])
    for s in sides:
        bone(image, chest[s], waist[s], (0.11, 0.1), SHIRT)
    cv2.fillConvexPoly(image, cv2.convexHull(np.round(body).astype(np.int32)), SHIRT)
    bone(image, chest["left"], chest["right"], (0.1, 0.1), SHIRT)
    bone(image, p["neck"] + np.array([0, 0.03 * UNIT * FINE, 0]), p["head"], (0.06, 0.055), shade(SKIN, 0.86))


def head(image: Image, joints: Joints, camera: Camera) -> None:
    center = joints["head"]
    hair, skull = camera(center + np.array([0, 0.012, -0.012])), camera(center)
    scale = UNIT * FINE

    def ellipse(at: Point, size: tuple[float, float], color: Color) -> None:
        axes = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        cv2.ellipse(image, (round(at[0]), round(at[1])), axes, 0, 0, 360, color, -1)

    ellipse(hair, (0.056, 0.068), HAIR)
    ellipse(camera(center + np.array([0, -0.008, 0.012])), (0.046, 0.06), SKIN)
    for sign in (1, -1):
        ear = camera(center + np.array([sign * 0.049, -0.005, -0.006]))
        if ear[2] > skull[2] - 0.012:
            ellipse(ear, (0.01, 0.017), shade(SKIN, 0.88))
        eye = camera(center + np.array([sign * 0.02, 0.006, 0.047]))
        if eye[2] > skull[2] + 0.012:
            ellipse(eye, (0.0085, 0.0065), (244, 244, 240))
            ellipse(eye, (0.0045, 0.006), INK)
            ellipse(camera(center + np.array([sign * 0.021, 0.02, 0.047])), (0.011, 0.003), HAIR)
    ellipse(camera(center + np.array([0, -0.012, 0.056])), (0.0085, 0.012), shade(SKIN, 0.84))
    ellipse(camera(center + np.array([0, -0.037, 0.045])), (0.014, 0.004), (150, 66, 62))
    top = camera(center + np.array([0, 0.043, 0.014]))
    ellipse(top, (0.05, 0.024), HAIR)


def figure(image: Image, joints: Joints, camera: Camera) -> None:
    """Far limbs, trunk, head, near limbs."""
    p = {name: camera(point) for name, point in joints.items()}

    def leg(side: str) -> None:
        bone(image, p[f"{side}_ankle"] + np.array([0, 0.012 * UNIT * FINE, 0]), p[f"{side}_toe"], (0.046, 0.036), SHOE)
        bone(image, p[f"{side}_knee"], p[f"{side}_ankle"], (0.068, 0.046), TROUSERS)
        bone(image, p[f"{side}_hip"], p[f"{side}_knee"], (0.096, 0.07), TROUSERS)

    def arm(side: str) -> None:
        shoulder, elbow, wrist = p[f"{side}_shoulder"], p[f"{side}_elbow"], p[f"{side}_wrist"]
        reach = (wrist - elbow) / max(float(np.linalg.norm((wrist - elbow)[:2])), 1e-6)
        bone(image, wrist, wrist + reach * 0.035 * UNIT * FINE, (0.036, 0.032), SKIN)
        bone(image, elbow, wrist, (0.046, 0.034), SKIN)
        bone(image, shoulder, elbow + (shoulder - elbow) * 0.08, (0.066, 0.056), SHIRT)

    near, far = ("right", "left") if p["right_hip"][2] > p["left_hip"][2] else ("left", "right")
    arms = sorted(("left", "right"), key=lambda side: float(p[f"{side}_elbow"][2]))
    arm(arms[0])
    leg(far)
    leg(near)
    torso(image, joints, camera)
    head(image, joints, camera)
    arm(arms[1])


def ground() -> Image:
    """Wall and floor with a faint, fixed grain."""
    rng = np.random.default_rng(7)
    height, width = HEIGHT * FINE, WIDTH * FINE
    horizon = round(height * 0.72)
    rows = np.linspace(0, 1, height)[:, None, None]
    wall = np.array([206, 211, 208]) - 26 * rows
    floor = np.array([158, 142, 122]) + 34 * (rows - 0.72)
    image = np.where(np.arange(height)[:, None, None] < horizon, wall, floor) + np.zeros((1, width, 1))
    grain = cv2.resize(rng.normal(0, 1, (HEIGHT // 4, WIDTH // 4)), (width, height), interpolation=cv2.INTER_CUBIC)
    image += 4.0 * grain[:, :, None]
    for x in range(-width, 2 * width, width // 8):  # floorboards that run to one point
        far = width // 2 + (x - width // 2) // 3
        cv2.line(image, (x, height), (far, horizon), (136, 120, 102), 4)
    cv2.rectangle(image, (0, horizon - 14), (width, horizon), (178, 180, 176), -1)
    return np.clip(image, 0, 255).astype(np.uint8)


def frame(back: Image, time: float) -> Image:
    """(360, 640, 3) uint8 RGB."""
    joints, yaw = pose(time)
    walked = min(time, TURN_FROM) + 0.5 * (TURN_TO - TURN_FROM) * smooth((time - TURN_FROM) / (TURN_TO - TURN_FROM))
    x = 120 + SPEED * walked
    image = back.copy()
    shadow = image.copy()
    feet = (round(x * FINE), round((GROUND + 2) * FINE))
    cv2.ellipse(shadow, feet, (52 * FINE, 8 * FINE), 0, 0, 360, (92, 80, 68), -1)
    shadow = cv2.GaussianBlur(shadow, (0, 0), 5 * FINE)
    image = cv2.addWeighted(image, 0.45, shadow, 0.55, 0)
    figure(image, joints, Camera(x, yaw))
    return np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def main(arguments: list[str]) -> int:
    default = Path(__file__).resolve().parent.parent / "resources" / "sample" / "walk_and_wave.mp4"
    path = Path(arguments[0]) if arguments else default
    cv2.setNumThreads(1)
    back = ground()
    options = {"crf": "23", "preset": "slow", "threads": "1"}
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.flags |= av.container.Flags.bitexact.value
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = RATE
        for i in range(RATE * SECONDS):
            picture = av.VideoFrame.from_ndarray(frame(back, i / RATE), format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
