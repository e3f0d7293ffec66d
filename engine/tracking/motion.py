"""Where a box is expected next: a Kalman filter of constant velocity for its centre and its size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# In sizes of the box: how exact a measured box is, how fast things may start, how they speed up (per second squared).
# The centre of a dancer swings several body sizes per second squared; width and height change less.
_MEASURED = np.array([0.05, 0.05, 0.08, 0.08])
_FIRST_SPEED = np.array([2.0, 2.0, 0.5, 0.5])
_ACCELERATION = np.array([10.0, 10.0, 4.0, 4.0])
# For so long (seconds) speeds are believed; a thing unseen for longer goes on at most as far as it would have gone
# in the time of the lease. What grew or turned before rarely goes on to.
_BELIEVED = 0.1
_LEASE = np.array([0.3, 0.3, 0.1, 0.1])
_LEAST_SIZE = 1.0


class BoxMotion:
    """Centre x, centre y, width and height of one box, each with its speed.

    The four are filtered apart, for their noises have nothing to do with each other.

    Args:
        box: (4,) x1 y1 x2 y2 in image pixels.
    """

    def __init__(self, box: npt.ArrayLike) -> None:
        self._place = centre_size(box)
        self._speed = np.zeros(4)
        size = self.size
        self._spread = np.zeros((4, 2, 2))
        self._spread[:, 0, 0] = (_MEASURED * size) ** 2
        self._spread[:, 1, 1] = (_FIRST_SPEED * size) ** 2
        self._unseen = 0.0
        self._seen_at = self.centre

    @property
    def centre(self) -> Floats:
        """(2,) in image pixels."""
        return self._place[:2]

    @property
    def size(self) -> float:
        """Square root of the area, in pixels; at least 1."""
        return float(max(_LEAST_SIZE, np.sqrt(self._place[2] * self._place[3])))

    @property
    def box(self) -> Floats:
        """(4,) x1 y1 x2 y2."""
        return np.concatenate([self._place[:2] - self._place[2:] / 2, self._place[:2] + self._place[2:] / 2])

    @property
    def velocity(self) -> Floats:
        """(2,) pixels per second of the centre."""
        return self._speed[:2]

    def advance(self, seconds: float) -> None:
        """Go on for some time without looking."""
        if seconds <= 0:
            return
        before, self._unseen = self._unseen, self._unseen + seconds
        moving = _moving_time(self._unseen) - _moving_time(before)
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        self._place = self._place + self._speed * moving
        self._place[2:] = np.maximum(self._place[2:], 0.0)
        noise = np.array([[seconds**4 / 4, seconds**3 / 2], [seconds**3 / 2, seconds**2]])
        self._spread = step @ self._spread @ step.T + ((_ACCELERATION * self.size) ** 2)[:, None, None] * noise

    @property
    def last_centre(self) -> Floats:
        """(2,) where the centre was when it was last seen."""
        return self._seen_at

    def correct(self, box: npt.ArrayLike) -> None:
        """Take in where the box is found now."""
        found = centre_size(box)
        noise = (_MEASURED * max(self.size, float(np.sqrt(found[2] * found[3])))) ** 2
        gain = self._spread[:, :, 0] / (self._spread[:, 0, 0] + noise)[:, None]
        wrong = found - self._place
        self._place = self._place + gain[:, 0] * wrong
        self._place[2:] = np.maximum(self._place[2:], 0.0)
        self._speed = self._speed + gain[:, 1] * wrong
        self._spread = self._spread - gain[:, :, None] * self._spread[:, None, 0, :]
        self._unseen = 0.0
        self._seen_at = self.centre


def _moving_time(seconds: float) -> Floats:
    """(4,) seconds of motion that so many seconds without looking are worth."""
    more = max(0.0, seconds - _BELIEVED)
    spent: Floats = min(seconds, _BELIEVED) + _LEASE * (1.0 - np.exp(-more / _LEASE))
    return spent


def centre_size(box: npt.ArrayLike) -> Floats:
    """(4,) x1 y1 x2 y2 as centre x, centre y, width, height; corners in any order."""
    corners = np.asarray(box, np.float64).reshape(2, 2)
    return np.concatenate([corners.mean(axis=0), np.abs(corners[1] - corners[0])])
