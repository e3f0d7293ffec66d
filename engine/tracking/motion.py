"""Prediction of a box: a Kalman filter of constant velocity for its center and its size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# In sizes of the box: standard deviations of a measurement, of the initial velocity (per second) and of the
# acceleration (per second squared). The center of a dancer moves by several body sizes per second squared; the size
# changes less.
_MEASUREMENT = np.array([0.05, 0.05, 0.08, 0.08])
_INITIAL_VELOCITY = np.array([2.0, 2.0, 0.5, 0.5])
_ACCELERATION = np.array([10.0, 10.0, 4.0, 4.0])
# For the first seconds without a measurement the velocity counts fully; after that it decays, so that a box moves on by
# at most what it would have moved in the time of _DECAY. Growing and turning rarely goes on for long.
_FULL_VELOCITY_SECONDS = 0.1
_DECAY = np.array([0.3, 0.3, 0.1, 0.1])
_MIN_SIZE = 1.0


class BoxMotion:
    """Center x, center y, width and height of one box, each with its velocity. The four are filtered independently.

    Args:
        box: (4,) x1 y1 x2 y2 in image pixels.
    """

    def __init__(self, box: npt.ArrayLike) -> None:
        self._state = center_size(box)
        self._velocity = np.zeros(4)
        size = self.size
        self._covariance = np.zeros((4, 2, 2))
        self._covariance[:, 0, 0] = (_MEASUREMENT * size) ** 2
        self._covariance[:, 1, 1] = (_INITIAL_VELOCITY * size) ** 2
        self._unseen_seconds = 0.0
        self._last_center = self.center

    @property
    def center(self) -> Floats:
        """(2,) in image pixels."""
        return self._state[:2]

    @property
    def size(self) -> float:
        """Square root of the area, in pixels; at least 1."""
        return float(max(_MIN_SIZE, np.sqrt(self._state[2] * self._state[3])))

    @property
    def box(self) -> Floats:
        """(4,) x1 y1 x2 y2."""
        return np.concatenate([self._state[:2] - self._state[2:] / 2, self._state[:2] + self._state[2:] / 2])

    @property
    def velocity(self) -> Floats:
        """(2,) pixels per second of the center."""
        return self._velocity[:2]

    def advance(self, seconds: float) -> None:
        """Predict the box so many seconds later."""
        if seconds <= 0:
            return
        before, self._unseen_seconds = self._unseen_seconds, self._unseen_seconds + seconds
        moving = _moving_time(self._unseen_seconds) - _moving_time(before)
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        self._state = self._state + self._velocity * moving
        self._state[2:] = np.maximum(self._state[2:], 0.0)
        noise = np.array([[seconds**4 / 4, seconds**3 / 2], [seconds**3 / 2, seconds**2]])
        self._covariance = step @ self._covariance @ step.T + ((_ACCELERATION * self.size) ** 2)[:, None, None] * noise

    @property
    def last_center(self) -> Floats:
        """(2,) center at the last measurement."""
        return self._last_center

    def correct(self, box: npt.ArrayLike) -> None:
        """Update with the measured box."""
        measured = center_size(box)
        noise = (_MEASUREMENT * max(self.size, float(np.sqrt(measured[2] * measured[3])))) ** 2
        gain = self._covariance[:, :, 0] / (self._covariance[:, 0, 0] + noise)[:, None]
        error = measured - self._state
        self._state = self._state + gain[:, 0] * error
        self._state[2:] = np.maximum(self._state[2:], 0.0)
        self._velocity = self._velocity + gain[:, 1] * error
        self._covariance = self._covariance - gain[:, :, None] * self._covariance[:, None, 0, :]
        self._unseen_seconds = 0.0
        self._last_center = self.center


def _moving_time(seconds: float) -> Floats:
    """(4,) seconds at full velocity that move a box as far as so many seconds without a measurement."""
    decaying = max(0.0, seconds - _FULL_VELOCITY_SECONDS)
    moving: Floats = min(seconds, _FULL_VELOCITY_SECONDS) + _DECAY * (1.0 - np.exp(-decaying / _DECAY))
    return moving


def center_size(box: npt.ArrayLike) -> Floats:
    """(4,) x1 y1 x2 y2 as center x, center y, width, height; corners in any order."""
    corners = np.asarray(box, np.float64).reshape(2, 2)
    return np.concatenate([corners.mean(axis=0), np.abs(corners[1] - corners[0])])
