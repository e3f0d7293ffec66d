"""Which keypoints follow which, similarity transforms, and the handles of boxes. numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def points_beyond(
    schema: Schema, keypoints: Floats, present: Flags, keypoint: int
) -> tuple[frozenset[int], int | None]:
    """The points that follow when a keypoint is dragged, and the keypoint that it turns about.

    The limbs make a graph of the present points; parts without a limb to the rest (hands, faces of some schemas) are
    tied on where they come nearest. What is cut off from the larger rest by taking the keypoint out lies beyond it.

    Args:
        keypoints: (K, 2); ``present`` (K,) bool.

    Returns:
        Positions beyond the keypoint (without it), and the neighbour on the near side, or None when there is none.
    """
    edges = _connected_edges(schema, keypoints, present)
    neighbours: dict[int, set[int]] = {int(i): set() for i in np.flatnonzero(present)}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    pieces = _components({i: near - {keypoint} for i, near in neighbours.items() if i != keypoint})
    if not pieces:
        return frozenset(), None
    first_part = schema.keypoints[0].part
    # The trunk is where most of the first part (the body) is, however many points a hand may have.
    weight = {p: (sum(schema.keypoints[i].part == first_part for i in p), len(p)) for p in pieces}
    trunk = max(pieces, key=lambda piece: weight[piece])
    beyond = frozenset(i for piece in pieces if piece is not trunk for i in piece if piece & neighbours[keypoint])
    towards = sorted(neighbours[keypoint] & trunk, key=lambda i: float(np.hypot(*(keypoints[i] - keypoints[keypoint]))))
    return beyond, towards[0] if towards else None


def _connected_edges(schema: Schema, keypoints: Floats, present: Flags) -> list[tuple[int, int]]:
    edges = [(a, b) for a, b in schema.limb_indices.tolist() if present[a] and present[b]]
    neighbours: dict[int, set[int]] = {int(i): set() for i in np.flatnonzero(present)}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    pieces = sorted(_components(neighbours), key=len, reverse=True)
    main = set(pieces[0]) if pieces else set()
    for piece in pieces[1:]:
        inner, outer = sorted(main), sorted(piece)
        delta = keypoints[inner][:, None] - keypoints[outer][None]
        nearest = int(np.argmin((delta**2).sum(axis=2)))
        edges.append((inner[nearest // len(outer)], outer[nearest % len(outer)]))
        main |= piece
    return edges


def _components(neighbours: dict[int, set[int]]) -> list[frozenset[int]]:
    left, components = set(neighbours), []
    while left:
        stack, piece = [min(left)], set()
        while stack:
            i = stack.pop()
            if i not in piece:
                piece.add(i)
                stack.extend(neighbours[i] - piece)
        left -= piece
        components.append(frozenset(piece))
    return components


def rotation_about(center: Floats, radians: float, factor: float = 1.0) -> Floats:
    """(2, 3) turning (positive: x towards y, clockwise on screen) and scaling about a point."""
    cos, sin = factor * np.cos(radians), factor * np.sin(radians)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, center - turn @ center])


def scaling_about(center: Floats, across: float, down: float) -> Floats:
    """(2, 3) scaling of x and y about a point."""
    return np.array([[across, 0.0, center[0] * (1 - across)], [0.0, down, center[1] * (1 - down)]])


def translation(dx: float, dy: float) -> Floats:
    """(2, 3)."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])


def apply_matrix(matrix: Floats, points: Floats) -> Floats:
    """A (2, 3) matrix applied to (n, 2) points."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def fit_similarity(source: Floats, target: Floats) -> Floats:
    """(2, 3) turning, scaling and shift that brings (n, 2) ``source`` nearest to ``target`` in the least squares sense.

    Without reflection; n = 1 gives a shift. (As complex numbers the problem is a linear regression.)
    """
    a, b = source[:, 0] + 1j * source[:, 1], target[:, 0] + 1j * target[:, 1]
    from_mean, to_mean = a.mean(), b.mean()
    spread = (abs(a - from_mean) ** 2).sum()
    turn = ((b - to_mean) * np.conj(a - from_mean)).sum() / spread if spread > 1e-12 else 1.0 + 0j
    turn = turn if abs(turn) > 1e-6 else 1.0 + 0j
    shift = to_mean - turn * from_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


ROTATE_HANDLE = 8
ROTATE_REACH = 26.0
"""Screen pixels from the top of the box to the handle that turns it."""


def handle_positions(box: Floats, scale: float) -> Floats:
    """(9, 2) image positions of the handles of a box xyxy: corners and sides clockwise from top left, then rotation."""
    x1, y1, x2, y2 = box
    mx, my = (x1 + x2) / 2, (y1 + y2) / 2
    top = y1 - ROTATE_REACH / scale
    return np.array(
        [(x1, y1), (mx, y1), (x2, y1), (x2, my), (x2, y2), (mx, y2), (x1, y2), (x1, my), (mx, top)], dtype=np.float64
    )


def extent(keypoints: Floats, present: Flags) -> Floats | None:
    """(4,) xyxy around the present points, or None without any."""
    if not present.any():
        return None
    points = keypoints[present]
    return np.concatenate([points.min(axis=0), points.max(axis=0)])
