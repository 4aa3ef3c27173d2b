"""The GGUF header reader against gguf's own writer and reader, and against damaged files."""

import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.contracts import BadModelError
from models.gguf_header import LongArray, read_architecture, read_gguf
from resources import resource

Maker = Callable[..., Path]


def test_it_reads_what_the_library_wrote(tmp_path: Path, make_gguf: Maker) -> None:
    path = make_gguf(tmp_path / "m.gguf", "qwen2vl", 64, my__flag=(True, gguf.GGUFValueType.BOOL))
    header = read_gguf(path)
    assert (header.architecture, header.embedding_length, header.context_length) == ("qwen2vl", 64, 2048)
    assert header.kv["tokenizer.ggml.tokens"] == LongArray(2000)
    assert header.kv["my.flag"] is True
    assert header.tensors["token_embd.weight"].shape == (64, 16)
    assert header.tensors["token_embd.weight"].nbytes == 64 * 16 * 2
    assert not header.is_mmproj
    assert read_architecture(path) == "qwen2vl"


def test_a_tower_tells_how_wide_its_vectors_are(tmp_path: Path, make_mmproj: Maker) -> None:
    header = read_gguf(make_mmproj(tmp_path / "mmproj.gguf", width=48))
    assert header.is_mmproj
    assert header.projection_length == 48


@pytest.mark.parametrize("path", sorted(resource("models").rglob("*.gguf")), ids=lambda p: p.name)
def test_the_starter_files_read_as_the_library_reads_them(path: Path) -> None:
    ours, theirs = read_gguf(path), gguf.GGUFReader(path)
    assert {n: (t.shape, t.ggml_type, t.nbytes) for n, t in ours.tensors.items()} == {
        t.name: (tuple(int(side) for side in t.shape), int(t.tensor_type), int(t.n_bytes)) for t in theirs.tensors
    }
    keys = [key for key in theirs.fields if not key.startswith("GGUF.")]
    assert list(ours.kv) == keys
    for key in keys:
        if not isinstance(ours.kv[key], LongArray):
            assert ours.kv[key] == theirs.fields[key].contents(), key


def test_every_truncation_is_told(tmp_path: Path, make_gguf: Maker) -> None:
    whole = make_gguf(tmp_path / "m.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in [8, 12, 23, 24, 40, *range(50, len(whole) - 1, 997), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(BadModelError, match=r"cut\.gguf is (incomplete|not a GGUF)"):
            read_gguf(cut)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a GGUF file"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF file"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(100), "big-endian"),
        (b"GGUF" + struct.pack("<I", 9) + bytes(100), "version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "incomplete"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 2**50), "incomplete"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 9, 1), "array of unknown type 9"),
    ],
)
def test_what_is_no_gguf_is_refused_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModelError, match=said):
        read_gguf(path)


def test_a_missing_file_is_a_known_error(tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match=r"gone\.gguf cannot be read"):
        read_gguf(tmp_path / "gone.gguf")


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_crashes_or_hangs_it(tmp_path: Path, make_gguf: Maker, data: st.DataObject) -> None:
    whole = tmp_path / "whole.gguf"
    if not whole.exists():
        make_gguf(whole)
    raw = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 400)))] = data.draw(st.integers(0, 255))
    path = tmp_path / "flipped.gguf"
    path.write_bytes(raw)
    try:
        header = read_gguf(path)
    except BadModelError as error:
        assert "flipped.gguf" in str(error)
    else:
        assert isinstance(header.architecture, str)
        assert header.is_mmproj in (True, False)
