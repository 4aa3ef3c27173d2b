"""Frames: any cut of the stream gives the same frames; damage is an error, never a hang or a huge allocation."""

import itertools
import json
import os
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.workers import ipc
from models.workers.ipc import Frame, FrameDecoder, FrameError, encode, read_frames, write_all

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
frames = st.builds(Frame, st.dictionaries(st.text(), values, max_size=4), st.binary(max_size=200))


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(frames, max_size=5), st.lists(st.integers(min_value=0), max_size=20))
def test_any_chunking_gives_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    decoder = FrameDecoder()
    data = b"".join(map(encode, sent))
    received = [frame for chunk in chunks(data, cuts) for frame in decoder.feed(chunk)]
    assert received == sent
    assert decoder.empty


def read_all(data: bytes, size: int) -> tuple[list[Frame], str]:
    """Frames and the first error of a stream fed in pieces of `size`."""
    decoder, received = FrameDecoder(), []
    for start in range(0, len(data), size):
        try:
            received += decoder.feed(data[start : start + size])
        except FrameError as error:
            return received, str(error)
    return received, decoder.broken


@given(st.lists(frames, max_size=3), st.binary(max_size=300))
@settings(max_examples=300)
def test_garbage_after_frames_never_crashes_nor_loses_them(sent: list[Frame], garbage: bytes) -> None:
    data = b"".join(map(encode, sent)) + garbage
    whole, by_byte = read_all(data, max(len(data), 1)), read_all(data, 1)
    assert whole[0] == by_byte[0]
    assert whole[0][: len(sent)] == sent
    assert bool(whole[1]) == bool(by_byte[1])


@given(frames, st.data())
@settings(max_examples=300)
def test_a_flipped_byte_is_an_error_or_another_frame(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode(frame))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    received, broken = read_all(bytes(raw), len(raw))
    assert len(received) <= 1
    assert received != [frame] or not broken


@pytest.mark.parametrize("lengths", [(2**32 - 1, 0), (0, 2**32 - 1), (ipc.MAX_JSON + 1, 0), (2, ipc.MAX_PAYLOAD + 1)])
def test_a_damaged_length_is_refused_before_anything_is_read(lengths: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match="claims"):
        FrameDecoder().feed(struct.pack("<4sHII", b"LMNR", ipc.VERSION, *lengths))


def test_another_version_is_refused() -> None:
    raw = bytearray(encode(Frame({})))
    raw[4] = 99
    with pytest.raises(FrameError, match="version 99"):
        FrameDecoder().feed(bytes(raw))


@pytest.mark.parametrize("text", [b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
def test_json_that_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(FrameError):
        FrameDecoder().feed(struct.pack("<4sHII", b"LMNR", ipc.VERSION, len(text), 0) + text)


def test_a_broken_decoder_stays_broken() -> None:
    decoder = FrameDecoder()
    with pytest.raises(FrameError):
        decoder.feed(b"noise")
    with pytest.raises(FrameError):
        decoder.feed(encode(Frame({"fine": 1})))


def test_too_large_a_message_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipc, "MAX_PAYLOAD", 10)
    with pytest.raises(FrameError, match="too large"):
        encode(Frame({}, b"x" * 11))


def test_a_message_is_ascii_and_lone_surrogates_survive() -> None:
    frame = Frame({"text": "画 \U0001f98a \udc80"})
    assert encode(frame)[14:].isascii()
    assert FrameDecoder().feed(encode(frame)) == [frame]
    assert json.loads(encode(frame)[14:]) == frame.message


def through_pipe(data: bytes) -> list[Frame]:
    source, sink = os.pipe()

    def write() -> None:
        write_all(sink, data)
        os.close(sink)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return list(read_frames(source))
    finally:
        writer.join()
        os.close(source)


def test_frames_larger_than_the_pipe_arrive_whole() -> None:
    sent = [Frame({"n": n}, bytes([n]) * 300_000) for n in range(3)]
    assert through_pipe(b"".join(map(encode, sent))) == sent


def test_a_stream_that_ends_inside_a_frame_is_an_error() -> None:
    with pytest.raises(FrameError, match="middle"):
        through_pipe(encode(Frame({"a": 1}, b"xyz"))[:-1])


def test_noise_ends_the_reading_at_once_even_if_the_writer_stays() -> None:
    source, sink = os.pipe()
    write_all(sink, encode(Frame({"a": 1})) + b"noise")
    reader = read_frames(source)
    assert next(reader) == Frame({"a": 1})
    with pytest.raises(FrameError, match="expected a frame"):
        next(reader)
    os.close(source)
    os.close(sink)
