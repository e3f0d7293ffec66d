import pytest
import torch

from engine.errors import TrainingError
from engine.networks import build
from engine.train.batch_size import GIB, StepMemory, fitting_batch, free_memory, gib, step_memory, with_sizes
from engine.train.config import AUTO_BATCH, OptimizerConfig, TaskConfig

NEED = StepMemory(fixed=GIB, sample=GIB // 10)


def sizes(
    processes: int = 1, free: int | None = None, need: StepMemory | None = NEED, **config: object
) -> tuple[int, int]:
    result = with_sizes(TaskConfig(**config), processes, need, free)  # type: ignore[arg-type]
    return result.batch, result.total_batch


@pytest.mark.parametrize(
    ("processes", "config", "expected"),
    [
        (1, {"batch": 16}, (16, 16)),
        (2, {"batch": 16}, (16, 32)),
        (2, {"batch": 16, "accumulate": 3}, (16, 96)),
        (1, {"batch": 64, "total_batch": 512}, (64, 512)),
        (16, {"batch": 64, "total_batch": 512}, (32, 512)),
        (3, {"batch": 64, "total_batch": 512}, (64, 576)),
    ],
)
def test_a_step_is_shared_among_processes(processes: int, config: dict[str, int], expected: tuple[int, int]) -> None:
    assert sizes(processes, **config) == expected


def test_sizes_that_are_settled_stay_so() -> None:
    once = with_sizes(
        TaskConfig(batch=8, accumulate=4, optimizer=OptimizerConfig(lr=0.1, scale_base=64)), 2, None, None
    )
    assert once.optimizer.lr == pytest.approx(0.1)
    assert with_sizes(once, 2, None, None) == once
    assert with_sizes(once, 1, None, None).total_batch == 64


def test_the_rate_can_follow_the_step() -> None:
    config = TaskConfig(batch=16, optimizer=OptimizerConfig(lr=0.1, scale_base=64))
    assert with_sizes(config, 1, None, None).optimizer.lr == pytest.approx(0.025)


def test_an_automatic_batch_is_the_largest_that_fits() -> None:
    assert sizes(batch=AUTO_BATCH, free=8 * GIB) == (32, 32)
    assert sizes(batch=AUTO_BATCH, free=8 * GIB, total_batch=96) == (32, 96)
    assert sizes(batch=AUTO_BATCH, free=8 * GIB, total_batch=18) == (18, 18)
    with pytest.raises(TrainingError, match=r"1\.0 GiB are free"):
        sizes(batch=AUTO_BATCH, free=GIB)
    with pytest.raises(TrainingError, match="--batch"):
        sizes(batch=AUTO_BATCH, free=None)


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does() -> None:
    with pytest.raises(TrainingError, match=r"batch 64 takes about 10.6 GiB.*8.0 GiB are free; --batch 32 fits"):
        sizes(batch=64, total_batch=512, free=8 * GIB)
    assert fitting_batch(NEED, 0) == 0


def test_memory_of_a_step_grows_with_the_network_and_the_picture() -> None:
    small = step_memory(build("resnet_pose", {"depth": 50}), (192, 256))
    large = step_memory(build("resnet_pose", {"depth": 50}), (288, 384))
    half = step_memory(build("resnet_pose", {"depth": 50}), (192, 256), half=True, average=True)
    assert small.fixed == pytest.approx(34e6 * 16, rel=0.01)
    assert half.fixed == pytest.approx(34e6 * 20, rel=0.01)
    assert large.sample == pytest.approx(small.sample * 2.25, rel=0.02)
    assert half.sample == pytest.approx(small.sample / 2, rel=0.01)
    # Feature maps of a ResNet-50 at this size, several of each block: around a hundred megabytes a picture.
    assert 60e6 < small.sample < 150e6


def test_free_memory_is_known() -> None:
    result = free_memory(torch.device("cpu"))
    assert result is None or result > 0
    assert gib(3 * GIB // 2) == "1.5 GiB"
