"""Whether an index that was stored agrees with the file that it is of.

An index lies beside the project, where anybody can change it, and may come with somebody else's project. So it is
compared with the file before it is believed: the tables of the container, packets at the start, at the end and at a few
places between, the first frames that come out of the decoder, and the order of frames that the times give.
"""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from engine.errors import MediaError
from engine.media.video.decoder import FAULTS, choose_stream, open_container
from engine.media.video.index.frame_order import predict_order, settle
from engine.media.video.index.index import DISCARD, HIDDEN, KEY, NO_TIME, VideoIndex
from engine.media.video.index.mp4_clock import video_table
from engine.media.video.index.order_check import decode_head, is_so_at
from engine.media.video.index.parameter_sets import HeaderWatch

_START_PACKETS = 64
# Of a file up to this size all packets are compared.
_SMALL_FILE = 32 << 20
_PLACES = 6
_PACKETS_EACH = 8
_END_PACKETS = 400
# Behind a seek the index may know none of so many packets.
_STRANGERS = 32
_ENTRIES = 200
# Containers that lead to a packet by its time exactly, and give all packets behind it the same times as ever.
_EXACT = frozenset({"mov", "mp4", "matroska", "webm", "avi", "flv"})
# Containers whose table of contents lists all packets of a stream.
_COMPLETE = frozenset({"mov", "mp4"})
_NONSENSE = (MediaError, *FAULTS, OverflowError, ArithmeticError, AssertionError, LookupError, TypeError, MemoryError)


def agrees_with_file(index: VideoIndex, path: Path) -> bool:
    """Whether an index is, as far as a look at the file can tell, that of the file. Raises nothing."""
    try:
        return _agrees(index, path)
    except _NONSENSE:
        return False


def _agrees(index: VideoIndex, path: Path) -> bool:
    with open_container(path) as container:
        stream = choose_stream(container, path)
        table = video_table(path)
        base = table.unit if table is not None and table.unit is not None else stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
        if (stream.index, stream.codec_context.name, base, rate) != (
            index.stream, index.codec, index.time_base, index.rate
        ):  # fmt: skip
            return False
        aspect = stream.sample_aspect_ratio
        formats = set(container.format.name.split(","))
        if formats & _COMPLETE and not _entries_agree(index, stream):
            return False
        if not _packets_agree(index, container, stream):
            return False
    if formats & _EXACT and not all(_agrees_at(index, path, key) for key in _places(index)):
        return False
    return _order_agrees(index, path, aspect)


def _entries_agree(index: VideoIndex, stream: av.VideoStream) -> bool:
    """Fragments are listed only once they are read; then the list is short, and tells little."""
    entries = stream.index_entries
    packets = index.packets
    if not stream.frames or not len(entries):
        return True
    if len(entries) != len(packets) and all(entries[n].size for n in range(len(entries))):
        return False
    if len(entries) != len(packets):
        return True  # empty packets are in the list, and not in the index
    chosen = {int(n) for n in np.linspace(0, len(entries) - 1, min(_ENTRIES, len(entries)))}
    return all(
        (entries[n].size, entries[n].timestamp) == (int(packets.size[n]), _time(packets.dts[n], entries[n].timestamp))
        for n in chosen
    )


def _time(value: np.int64, if_missing: int) -> int:
    return if_missing if value == NO_TIME else int(value)


def _packets_agree(index: VideoIndex, container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the file begins with the packets of the index; a small file is read to its end."""
    packets, headers = index.packets, index.packets.headers
    is_whole = 0 < container.size <= _SMALL_FILE
    count = len(packets) if is_whole else min(_START_PACKETS, len(packets))
    watch = HeaderWatch(stream.codec_context.name, stream.codec_context.extradata)
    packet_index = 0
    try:
        for packet in (packet for packet in container.demux(stream) if packet.size):
            if packet_index == count:
                packet_index += is_whole
                break
            if not _is(index, packet_index, packet):
                return False
            new_extradata = packet.has_sidedata("new_extradata")
            if watch.is_needed or new_extradata:
                new = bytes(packet.get_sidedata("new_extradata")) if new_extradata else None
                watch.see(packet_index, bytes(packet), packet.is_keyframe, new)
            packet_index += 1
    except FAULTS:
        pass  # a damaged file ends here also for the index
    if packet_index != count:
        return False
    if is_whole:
        seen = watch.result()
        return seen.changed == headers.changed and all(seen.before(k) == headers.before(k) for k in index.keys.tolist())
    if len(headers.blobs) > 1 or (headers.changed and index.codec == "mpeg4"):
        return False  # only a reading of the whole file tells whether these are right
    known = watch.needed_by(b"") if watch.is_needed else b""
    return all(blob and blob in known for blob in headers.blobs)


def _is(index: VideoIndex, packet_index: int, packet: av.Packet) -> bool:
    packets = index.packets
    flags = int(packets.flags[packet_index])
    pts, dts = (NO_TIME if time is None else time for time in (packet.pts, packet.dts))
    return (
        packet.size == packets.size[packet_index]
        and (pts, dts) == (packets.pts[packet_index], packets.dts[packet_index])
        and packet.is_discard == bool(flags & DISCARD)
        and (packet.is_keyframe or not flags & KEY)
    )


def _places(index: VideoIndex) -> list[int]:
    """The last key, and a few others by chance."""
    keys = [int(key) for key in index.keys if key]
    if not keys or (index.packets.pts == NO_TIME).any():
        return []
    return [keys[-1], *random.sample(keys, min(_PLACES, len(keys)))]


def _agrees_at(index: VideoIndex, path: Path, key: int) -> bool:
    """Whether a seek to a key finds packets that the index has one after another, the key among them."""
    packets = index.packets
    time = packets.dts[key] if packets.dts[key] != NO_TIME else packets.pts[key]
    behind = _END_PACKETS if key == int(index.keys[-1]) else _PACKETS_EACH
    candidate = -1
    strangers = 0
    with open_container(path) as container:
        stream = choose_stream(container, path)
        container.seek(int(time), stream=stream, backward=True)
        for packet in (packet for packet in container.demux(stream) if packet.size):
            if candidate < 0:
                candidates = np.flatnonzero((packets.pts == packet.pts) & (packets.size == packet.size))
                candidate = int(candidates[0]) if len(candidates) == 1 else -1
                strangers += candidate < 0
            elif candidate >= len(packets) or (packet.pts, packet.size) != (
                packets.pts[candidate],
                packets.size[candidate],
            ):
                return False
            if strangers > _STRANGERS or candidate > key + behind:
                return candidate >= 0
            candidate += candidate >= 0
    return candidate == len(packets)


def _order_agrees(index: VideoIndex, path: Path, aspect: Fraction | None) -> bool:
    picture, seen, broken = decode_head(path, index.packets, index.stream, aspect, index.codec)
    if picture != index.picture:
        return False
    predicted = predict_order(index.packets)
    if not predicted.exhaustive:
        settled = settle(index.packets, predicted.order, seen, broken)
        if settled is not None and np.array_equal(settled, index.order):
            return is_so_at(path, index, predicted.joints)
        if settled is not None and not predicted.joints:
            return False
    hidden = index.packets.flags & (DISCARD | HIDDEN) > 0
    if index.order[: len(seen)].tolist() != seen or hidden[index.order].any():
        return False
    keys = [int(key) for key in index.keys if key]
    return is_so_at(path, index, sorted(random.sample(keys, min(3, len(keys)))))
