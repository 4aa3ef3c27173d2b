"""The cheap parts of the true-size run: its vocabularies, blocks, shapes and table. The run itself is made by hand."""

import base64
from math import prod
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize

from models.evaluation import random_gguf
from models.evaluation.random_checkpoints import BLOCK, random_tensor
from models.evaluation.random_gguf import (
    language_shapes,
    q4_0_rows,
    qwen_vocabulary,
    synthetic_vocabulary,
    vision_shapes,
)
from models.evaluation.true_size import Row, peak_memory, table


def test_the_made_up_vocabulary_has_qwen_s_size_and_every_merge_is_possible() -> None:
    tokens, merges = synthetic_vocabulary()
    assert len(tokens) == len(set(tokens)) == random_gguf.SPECIALS_FROM
    known = set(tokens)
    assert all(set(merge.split(" ")) | {merge.replace(" ", "")} <= known for merge in merges)


def test_merges_are_recovered_from_ranks(tmp_path: Path) -> None:
    pieces = [bytes([b]) for b in range(256)] + [b"ab", b"abc", b" a", b" abc", "狐".encode()[:2], "狐".encode()]
    lines = [f"{base64.b64encode(piece).decode()} {rank}" for rank, piece in enumerate(pieces)]
    (tmp_path / "small.tiktoken").write_text("\n".join(lines), encoding="utf-8")
    tokens, merges = qwen_vocabulary(tmp_path / "small.tiktoken")
    assert len(tokens) == len(pieces) and tokens[ord("a")] == "a" and tokens[32] == "Ġ"
    assert merges[:3] == ["a b", "ab c", "Ġ a"] and merges[3] == "Ġ abc"


def test_random_q4_0_blocks_have_the_variance_of_a_fresh_layer() -> None:
    rows = q4_0_rows((64, 2048), np.random.default_rng(0))
    assert rows.shape == (64, 2048 // 32 * 18)
    values = dequantize(rows, GGMLQuantizationType.Q4_0)
    assert values.shape == (64, 2048) and values.std() * np.sqrt(2048) == pytest.approx(1, abs=0.05)


def test_random_tensors_are_fp32_in_chunks() -> None:
    chunks = list(random_tensor("unet.weight", (3, BLOCK // 2)))
    assert [c.size for c in chunks] == [BLOCK, BLOCK // 2] and {c.dtype for c in chunks} == {np.dtype(np.float32)}
    assert (np.concatenate(list(random_tensor("norm.weight", (8,)))) == 1).all()
    assert (np.concatenate(list(random_tensor("norm.bias", (8,)))) == 0).all()


def test_the_shapes_are_those_of_the_3b() -> None:
    language = sum(prod(s) for s in language_shapes().values())
    vision = sum(prod(s) for s in vision_shapes().values())
    assert language == pytest.approx(3.09e9, rel=0.01) and vision == pytest.approx(0.669e9, rel=0.01)


def test_the_table_is_markdown() -> None:
    lines = table([Row("sd15", 2_130_000_000, 1.25, "2 steps", 61.0, 7_000_000_000)]).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == 7
    assert lines[2] == "| sd15 | 2.13 GB | 1 s | 2 steps | 61 s | 7.0 GB |"


def test_peak_memory_is_at_least_what_is_in_use() -> None:
    assert peak_memory() > 10_000_000
