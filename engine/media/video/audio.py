"""The sound of a video into another file as it is, packet by packet, at the same time beside the pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

# What players of mp4 files understand; the others the file could hold, but few would be heard.
MP4_CODECS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})


@dataclass(frozen=True)
class AudioSpan:
    """A part of the sound of a file.

    Attributes:
        start, end: in seconds of the file's own clock (that of its packets).
    """

    path: Path
    start: Fraction
    end: Fraction


class AudioCopy:
    """Copies a span to an mp4 that is being written; a context manager that closes the file read.

    The first packet is the first that begins within the span, so that each is heard exactly when it was. What goes
    wrong with the sound does not end the writing of the pictures: it stands in ``problem``, a sentence for a person.

    Args:
        span: None for no sound.
        target: open for writing; its streams of pictures have been added.
    """

    def __init__(self, span: AudioSpan | None, target: av.container.OutputContainer) -> None:
        self.problem = ""
        self._target = target
        self._source: av.container.InputContainer | None = None
        self._packets: Iterator[av.Packet] = iter(())
        self._next: av.Packet | None = None
        if span is not None:
            try:
                self._open(span)
            except (av.FFmpegError, OSError, ValueError) as error:
                self._give_up(error)

    def until(self, seconds: Fraction) -> None:
        """Write the packets that begin before a time, in seconds from the start of the span."""
        try:
            while self._next is not None and self._next.pts * self._next.time_base < seconds:
                packet, self._next = self._next, self._read()
                self._target.mux(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._give_up(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next = None
        if self._source is not None:
            self._source.close()

    def _open(self, span: AudioSpan) -> None:
        self._source = av.open(
            str(span.path), metadata_errors="replace", options={"protocol_whitelist": "file,subfile"}
        )
        streams = [stream for stream in self._source.streams if isinstance(stream, av.AudioStream)]
        if not streams:
            return
        stream = self._source.streams.best("audio") or streams[0]
        assert isinstance(stream, av.AudioStream)
        canonical = stream.codec_context.codec.canonical_name
        if canonical not in MP4_CODECS:
            self.problem = f"Its sound ({canonical}) cannot be kept in an mp4; it was left out"
            return
        self._start = round(span.start / stream.time_base)
        self._end = math.ceil(span.end / stream.time_base)
        if span.start > 1:
            self._source.seek(max(0, self._start - round(1 / stream.time_base)), stream=stream, backward=True)
        self._packets = iter(self._source.demux(stream))
        out = self._target.add_stream_from_template(stream)
        self._out = out
        self._next = self._read()

    def _read(self) -> av.Packet | None:
        """The next packet of the span, moved to where it is heard; None at the end."""
        for packet in self._packets:
            if packet.pts is None or packet.pts < self._start:
                continue
            if packet.pts >= self._end:
                return None
            packet.pts -= self._start
            packet.dts = packet.pts
            packet.stream = self._out
            return packet
        return None

    def _give_up(self, error: Exception) -> None:
        self._next = None
        self.problem = (
            f"Its sound cannot be copied ({getattr(error, 'strerror', None) or error}); some of it is missing"
        )
