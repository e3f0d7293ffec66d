import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.errors import TrainingError
from engine.train.config import (
    AugmentConfig,
    OptimizerConfig,
    TaskConfig,
    TrainConfig,
    read_config,
    with_settings,
    write_config,
)


def test_a_written_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = TrainConfig(
        train='folder "with" quotes\\and\tmore.json',
        schema="ünï",
        what="both",
        seed=7,
        pose=TaskConfig(
            epochs=3,
            augment=AugmentConfig(rotation=40.0, scale=(0.5, 2.0)),
            optimizer=OptimizerConfig(lr=1e-05),
        ),
    )
    write_config(config, tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml") == config


def test_what_is_left_out_keeps_the_default_of_its_phase(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[detect]\nepochs = 2\n[pose.optimizer]\nlr = 1\n")
    config = read_config(file)
    assert config.detect == msgspec.structs.replace(TrainConfig().detect, epochs=2)
    assert config.pose.optimizer.lr == 1.0
    assert config.pose.batch == TrainConfig().pose.batch


def test_the_keys_of_version_0_1_are_still_read(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[pose.optimiser]\nlr = 0.5\n[detect.augment]\ncolour = 0.3\n")
    config = with_settings(read_config(file), ["detect.optimiser.gamma=0.2"])
    assert (config.pose.optimizer.lr, config.detect.augment.color, config.detect.optimizer.gamma) == (0.5, 0.3, 0.2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pose]\nbatches = 3\n", "batches"),
        ("[pose]\nbatch = 0\n", "pose.batch"),
        ("seed = 'x'\n", "seed"),
        ("seed =\n", "TOML"),
        ("[detect.augment]\nscale = [2.0, 1.0]\n", "detect.augment.scale"),
        ("what = 'all'\n", "what"),
        ("val_fraction = 1.0\n", "val_fraction"),
    ],
)
def test_a_faulty_file_is_refused_by_the_entrys_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(TrainingError, match=words) as caught:
        read_config(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_configuration_and_preflight_load_no_torch() -> None:
    code = "import sys, engine.train.config, engine.train.preflight, engine.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_figure_that_a_network_does_not_have_cannot_choose_its_best_epoch() -> None:
    assert with_settings(TrainConfig(), ["pose.select=AUC"]).pose.select == "AUC"
    assert with_settings(TrainConfig(), ["detect.select=AP"]).detect.select == "AP"
    with pytest.raises(TrainingError, match=r'detect\.select must be one of "", "AP"'):
        with_settings(TrainConfig(), ["detect.select=EPE"])
