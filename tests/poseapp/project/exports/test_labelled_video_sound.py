"""The sound of a video goes along, at the same time beside the pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.media.video.reader import VideoReader
from poseapp.project.exports.files import FilesReport, run_steps
from poseapp.project.exports.labelled_video import export_labelled_video
from poseapp.project.formats.videos import import_video
from poseapp.project.store import ProjectStore

RATE = 30
SOUND_RATE = 48000
FLASHES = (30, 60)  # frames that are white, and at whose time a click is heard


def film(path: Path, codec: str | None, frames: int = 90) -> Path:
    """Black pictures and silence but for flashes and clicks at the same time."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "bf": "2", "g": "30"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = None if codec is None else container.add_stream(codec, rate=SOUND_RATE, layout="mono")
        for index in range(frames):
            shade = 235 if index in FLASHES else 16
            picture = np.full((48, 64, 3), shade, np.uint8)
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
        if sound is not None:
            wave = np.zeros(frames * SOUND_RATE // RATE, np.float32)
            for index in FLASHES:
                start = index * SOUND_RATE // RATE
                wave[start : start + 2400] = 0.8 * np.sin(np.arange(2400) * 0.2)
            samples = (wave * 32767).astype(np.int16)
            resampler = av.AudioResampler(
                format=sound.codec_context.format, layout="mono", rate=SOUND_RATE, frame_size=sound.frame_size or 1024
            )
            whole = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            whole.sample_rate, whole.pts = SOUND_RATE, 0
            for frame in [*resampler.resample(whole), *resampler.resample(None)]:
                for packet in sound.encode(frame):
                    container.mux(packet)
            for packet in sound.encode(None):
                container.mux(packet)
    return path


def clicks(path: Path) -> list[float]:
    """Seconds at which something begins to be heard."""
    results: list[float] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = frame.to_ndarray().astype(np.float64)
            wave = wave.reshape(-1) / (32768 if np.abs(wave).max() > 2 else 1)
            for position in np.flatnonzero(np.abs(wave) > 0.2):
                when = float(frame.pts * frame.time_base) + position / frame.sample_rate
                if not results or when - results[-1] > 0.5:
                    results.append(when)
    return results


def flashes(path: Path) -> list[float]:
    with VideoReader(path) as video:
        return [video.time(n) for n in range(video.frame_count) if video.read(n).mean() > 128]


def export(path: Path, folder: Path, first: int = 0, last: int | None = None) -> tuple[Path, FilesReport]:
    out = folder / "out.mp4"
    with ProjectStore.create(folder / "film.pose") as store:
        media = import_video(store, path).id
        return out, run_steps(export_labelled_video(store, out, media, first=first, last=last))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "aac"),
        ("a.mkv", "libopus"),
        ("a.ts", "aac"),
        ("a.mkv", "libmp3lame"),
        ("a.mov", "aac"),
        ("a.mkv", "flac"),
    ],
)
@pytest.mark.parametrize(("first", "last"), [(0, None), (17, 70)])
def test_a_click_is_heard_when_its_flash_is_seen(
    name: str, codec: str, first: int, last: int | None, tmp_path: Path
) -> None:
    out, report = export(film(tmp_path / name, codec), tmp_path, first, last)
    assert report.problems == []
    seen, heard = flashes(out), clicks(out)
    assert len(seen) == len(heard) == sum(first <= n for n in FLASHES)
    assert np.allclose(seen, [(n - first) / RATE for n in FLASHES if n >= first], atol=1e-3)
    assert np.abs(np.array(seen) - heard).max() < 0.012
    with av.open(str(out)) as container:
        (sound,) = container.streams.audio
        assert sound.duration is not None
        assert abs(float(sound.duration * sound.time_base) - report.count / RATE) < 0.1


def test_a_sound_that_mp4_players_do_not_know_is_told_and_left_out(tmp_path: Path) -> None:
    out, report = export(film(tmp_path / "a.avi", "pcm_s16le"), tmp_path)
    assert "sound (pcm_s16le) cannot be kept" in report.problems[0]
    with av.open(str(out)) as container:
        assert not container.streams.audio
    assert len(flashes(out)) == 2


def test_a_silent_video_stays_silent(tmp_path: Path) -> None:
    out, report = export(film(tmp_path / "a.mp4", None, 5), tmp_path)
    assert report.problems == []
    with VideoReader(out) as video:
        assert video.frame_count == 5
        assert video.exact_time(4) == Fraction(4, RATE)


def test_damaged_sound_does_not_end_the_export(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", "aac")
    data = bytearray(path.read_bytes())
    data[-4000:] = bytes(4000)
    path.write_bytes(data)
    out, report = export(path, tmp_path)
    with VideoReader(out) as video:
        assert video.frame_count == report.count
