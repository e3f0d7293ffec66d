import numpy as np
import pytest

from engine.train.data.sampler import choose_epochs, epoch_batches, epoch_order, evaluation_batches


def test_an_epoch_visits_everything_before_anything_twice() -> None:
    order = epoch_order(10, 5, 4, seed=3, epoch=0).ravel()
    assert sorted(order[:10]) == list(range(10))
    assert sorted(order[10:]) == list(range(10))


def test_epochs_differ_and_repeat_with_their_seed() -> None:
    assert (epoch_order(50, 5, 10, 1, 0) != epoch_order(50, 5, 10, 1, 1)).any()
    assert (epoch_order(50, 5, 10, 1, 0) == epoch_order(50, 5, 10, 1, 0)).all()


def test_the_rest_of_an_epoch_is_what_it_would_have_been() -> None:
    def drawn(first: int) -> list[list[tuple[int, float]]]:
        return [[(i, rng.random()) for i, rng in batch] for batch in epoch_batches(7, 6, 3, 0, 2, first_step=first)]

    assert drawn(0)[4:] == drawn(4)


def test_evaluation_takes_each_once_in_order() -> None:
    assert list(evaluation_batches(5, 2)) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (10, (20, 20)),  # a handful: 400 steps all the same
        (320, (20, 20)),
        (1600, (8, 100)),  # eight passes
    ],
)
def test_steps_follow_the_amount_of_data(count: int, expected: tuple[int, int]) -> None:
    assert choose_epochs(0, 0, 16, count, steps=400, passes=8, least=20) == expected


def test_what_is_given_is_kept() -> None:
    assert choose_epochs(3, 5, 16, 1000, steps=400, passes=8, least=20) == (3, 5)


def test_generators_of_one_batch_differ() -> None:
    (batch,) = epoch_batches(1, 1, 4, 0, 0)
    assert len({rng.random() for _, rng in batch}) == 4
    assert isinstance(batch[0][1], np.random.Generator)
