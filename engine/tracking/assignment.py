"""The assignment problem: pairs of rows and columns with the lowest total cost, exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def assign(cost: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Assign each row (or each column, if those are fewer) one of the other side at the lowest total cost.

    Shortest augmenting paths with dual prices, one row at a time, O(rows^2 columns); R. Jonker, A. Volgenant, "A
    shortest augmenting path algorithm for dense and sparse linear assignment problems", Computing 38 (1987).

    Args:
        cost: (N, M) finite numbers.

    Returns:
        (min(N, M), 2) pairs of row and column, ascending by row.

    Raises:
        ValueError: not two-dimensional, or a cost that is not finite.
    """
    costs = np.asarray(cost, np.float64)
    if costs.ndim != 2 or not np.isfinite(costs).all():
        raise ValueError(f"costs must be a table of finite numbers, not {costs.shape}")
    if costs.shape[0] > costs.shape[1]:
        pairs = assign(costs.T)[:, ::-1]
        return np.ascontiguousarray(pairs[np.argsort(pairs[:, 0])])
    rows, columns = costs.shape
    if rows == 0:
        return np.zeros((0, 2), np.int64)
    row_of = np.full(columns, -1)
    price_row, price_column = np.zeros(rows), np.zeros(columns)
    for row in range(rows):
        _augment(costs, row, row_of, price_row, price_column)
    assigned = np.flatnonzero(row_of >= 0)
    pairs = np.column_stack([row_of[assigned], assigned]).astype(np.int64)
    return np.ascontiguousarray(pairs[np.argsort(pairs[:, 0])])


def best_pairs(similarity: npt.ArrayLike, minimum: float) -> list[tuple[int, int]]:
    """Pairs of row and column with the highest total similarity; pairs below ``minimum`` are never made.

    Args:
        similarity: (N, M), not negative.
    """
    values = np.asarray(similarity, np.float64)
    if values.size == 0:
        return []
    allowed = np.isfinite(values) & (values >= minimum)
    gain = np.where(allowed, values, 0.0)
    return [(int(row), int(column)) for row, column in assign(-gain) if allowed[row, column]]


def _augment(costs: Floats, row: int, row_of: npt.NDArray[np.int64], price_row: Floats, price_column: Floats) -> None:
    """Assign one more row by the cheapest chain of exchanges, and keep the dual prices optimal."""
    columns = costs.shape[1]
    distance = np.full(columns, np.inf)
    came_from = np.full(columns, -1)
    done = np.zeros(columns, np.bool_)
    reached = 0.0
    visited_rows, current_row = [row], row
    while True:
        through = reached + costs[current_row] - price_row[current_row] - price_column
        better = ~done & (through < distance)
        distance[better], came_from[better] = through[better], current_row
        open_distance = np.where(done, np.inf, distance)
        column = int(open_distance.argmin())
        reached = float(open_distance[column])
        done[column] = True
        if row_of[column] < 0:
            break
        current_row = int(row_of[column])
        visited_rows.append(current_row)
    _reprice(visited_rows, row_of, price_row, price_column, distance, done, reached, column)
    while True:  # exchange along the chain, back to the new row
        current_row = int(came_from[column])
        previous_columns = np.flatnonzero(row_of == current_row)
        row_of[column] = current_row
        if current_row == row:
            return
        column = int(next(c for c in previous_columns if c != column))


def _reprice(
    visited_rows: list[int],
    row_of: npt.NDArray[np.int64],
    price_row: Floats,
    price_column: Floats,
    distance: Floats,
    done: npt.NDArray[np.bool_],
    reached: float,
    last: int,
) -> None:
    price_row[visited_rows[0]] += reached
    for column in np.flatnonzero(done):
        if column != last:
            price_row[row_of[column]] += reached - distance[column]
            price_column[column] -= reached - distance[column]
