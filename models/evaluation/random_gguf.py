"""Writes a Qwen2.5-VL-3B-shaped GGUF (Q4_0) and its mmproj (fp16) with random weights, tensor by tensor.

The vocabulary is Qwen's own if a `qwen.tiktoken` file is given (the package dashscope carries one), else a made-up one
of the same size. For measuring speed and memory only: what such a model says means nothing.
"""

import base64
import importlib.util
import itertools
from math import prod
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from models.evaluation.random_checkpoints import random_tensor
from resources import resource

VOCABULARY = 151_936
SPECIALS_FROM = 151_643
SPECIALS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
HIDDEN, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 2048, 36, 16, 2, 11_008
VISION, VISION_LAYERS, VISION_HEADS, VISION_FEED_FORWARD, PATCH = 1280, 32, 16, 3420, 14
NORMAL, CONTROL, UNUSED = 1, 3, 5
Shapes = dict[str, tuple[int, ...]]


# ---------------------------------------------------------------- vocabulary
def byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


def find_vocabulary() -> Path | None:
    """qwen.tiktoken of an installed dashscope, or None."""
    spec = importlib.util.find_spec("dashscope")
    path = Path(spec.origin).parent / "resources" / "qwen.tiktoken" if spec and spec.origin else None
    return path if path and path.is_file() else None


def qwen_vocabulary(path: Path) -> tuple[list[str], list[str]]:
    """(tokens, merges) of Qwen's byte-pair encoding, read from a tiktoken file of ranks."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    letters = byte_letters()

    def text(piece: bytes) -> str:
        return "".join(letters[b] for b in piece)

    merges = [" ".join(map(text, _two_parts(token, rank, ranks))) for token, rank in ranks.items() if len(token) > 1]
    return [text(token) for token in ranks], merges


def _two_parts(token: bytes, rank: int, ranks: dict[bytes, int]) -> list[bytes]:
    """The pair that was merged last into this token: merge by rank until only the token's own rank is left."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        pairs = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
        best, at = min(pairs)
        if best >= rank:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def synthetic_vocabulary() -> tuple[list[str], list[str]]:
    """(tokens, merges) of the same size, made of bytes, pairs and pairs of pairs."""
    letters = list(byte_letters().values())
    pairs = [(a, b) for a in letters for b in letters]
    longer = [(a + b, c) for c in letters[:2] for a, b in pairs]
    merges = list(dict.fromkeys(pairs + longer))
    tokens = list(dict.fromkeys(letters + [a + b for a, b in merges]))[:SPECIALS_FROM]
    kept = set(tokens)
    return tokens, [f"{a} {b}" for a, b in merges if a + b in kept]


def _add_vocabulary(writer: GGUFWriter, vocabulary: Path | None) -> None:
    tokens, merges = qwen_vocabulary(vocabulary) if vocabulary else synthetic_vocabulary()
    unused = VOCABULARY - len(tokens) - len(SPECIALS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*tokens, *SPECIALS, *(f"[PAD{i}]" for i in range(unused))])
    writer.add_token_types([NORMAL] * len(tokens) + [CONTROL] * len(SPECIALS) + [UNUSED] * unused)
    writer.add_token_merges(merges)
    start = len(tokens)
    writer.add_bos_token_id(start)
    writer.add_pad_token_id(start)
    writer.add_eos_token_id(start + SPECIALS.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    template = resource("models", "limner-starter-vl", "chat_template.jinja")
    writer.add_chat_template(template.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- the language half
def language_shapes() -> Shapes:
    """Every tensor, in torch's order of dimensions (rows first)."""
    kv = HIDDEN // HEADS * KV_HEADS
    shapes: Shapes = {"token_embd.weight": (VOCABULARY, HIDDEN), "output_norm.weight": (HIDDEN,)}
    for i in range(LAYERS):
        block = f"blk.{i}."
        shapes |= {block + "attn_norm.weight": (HIDDEN,), block + "ffn_norm.weight": (HIDDEN,)}
        for name, rows in (("attn_q", HIDDEN), ("attn_k", kv), ("attn_v", kv)):
            shapes |= {f"{block}{name}.weight": (rows, HIDDEN), f"{block}{name}.bias": (rows,)}
        shapes |= {block + "attn_output.weight": (HIDDEN, HIDDEN), block + "ffn_down.weight": (HIDDEN, FEED_FORWARD)}
        shapes |= {f"{block}ffn_{name}.weight": (FEED_FORWARD, HIDDEN) for name in ("gate", "up")}
    return shapes


def write_language_half(path: Path, vocabulary: Path | None) -> None:
    """The GGUF of the language half; matrices in Q4_0, the output tied to the embedding as in the 3B."""
    writer = GGUFWriter(path, "qwen2vl")
    writer.add_name("Qwen2.5-VL-3B shape, random weights")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128_000)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_sections([16, 24, 24, 0])
    _add_vocabulary(writer, vocabulary)
    _write_tensors(writer, language_shapes(), GGMLQuantizationType.Q4_0)


def q4_0_rows(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random Q4_0 blocks, uint8 (rows, columns / 32 × 18): an fp16 scale and 32 nibbles each, variance 1/columns."""
    blocks = prod(shape) // 32
    data = rng.integers(0, 256, (blocks, 18), dtype=np.uint8)
    scale = np.float16(1 / np.sqrt(shape[-1]) / 4.6)  # nibbles 0..15, less 8, have a standard deviation of 4.6
    data[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    return data.reshape(*shape[:-1], shape[-1] // 32 * 18)


# ---------------------------------------------------------------- the vision half
def vision_shapes(out: int = HIDDEN) -> Shapes:
    """Every tensor of the 2.5-VL tower: RMS norms, gated feed-forward with biases, a merger of 2 × 2 patches."""
    merged = 4 * VISION
    shapes: Shapes = {
        "v.patch_embd.weight": (VISION, 3, PATCH, PATCH), "v.patch_embd.weight.1": (VISION, 3, PATCH, PATCH),
        "v.post_ln.weight": (VISION,), "mm.0.weight": (merged, merged), "mm.0.bias": (merged,),
        "mm.2.weight": (out, merged), "mm.2.bias": (out,),
    }  # fmt: skip
    sizes = {"ffn_gate": (VISION_FEED_FORWARD, VISION), "ffn_up": (VISION_FEED_FORWARD, VISION)}
    sizes |= {"ffn_down": (VISION, VISION_FEED_FORWARD)}
    sizes |= dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (VISION, VISION))
    for i in range(VISION_LAYERS):
        shapes |= {f"v.blk.{i}.{norm}.weight": (VISION,) for norm in ("ln1", "ln2")}
        for name, size in sizes.items():
            shapes |= {f"v.blk.{i}.{name}.weight": size, f"v.blk.{i}.{name}.bias": size[:1]}
    return shapes


def write_vision_half(path: Path) -> None:
    """The mmproj: matrices in fp16, full attention in every eighth layer."""
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name("Qwen2.5-VL vision shape, random weights")
    writer.add_clip_has_vision_encoder(True)
    writer.add_bool("clip.has_llava_projector", False)
    writer.add_string("clip.projector_type", "qwen2.5vl_merger")
    writer.add_vision_projection_dim(HIDDEN)
    writer.add_vision_image_size(560)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_embedding_length(VISION)
    writer.add_vision_feed_forward_length(VISION_FEED_FORWARD)
    writer.add_vision_block_count(VISION_LAYERS)
    writer.add_vision_head_count(VISION_HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.48145466, 0.4578275, 0.40821073])
    writer.add_vision_image_std([0.26862954, 0.26130258, 0.27577711])
    writer.add_bool("clip.use_silu", True)
    writer.add_vision_spatial_merge_size(2)
    writer.add_uint32("clip.vision.n_wa_pattern", 8)
    _write_tensors(writer, vision_shapes(), GGMLQuantizationType.F16)


def _write_tensors(writer: GGUFWriter, shapes: Shapes, kind: GGMLQuantizationType) -> None:
    """Announce all, then write one after the other."""
    quantized = kind == GGMLQuantizationType.Q4_0
    for name, shape in shapes.items():
        if len(shape) == 1 or not quantized:
            dtype = np.dtype(np.float32 if _stays_fp32(name, shape) else np.float16)
            writer.add_tensor_info(name, shape, dtype, prod(shape) * dtype.itemsize)
        else:
            stored = (*shape[:-1], shape[-1] // 32 * 18)
            writer.add_tensor_info(name, stored, np.dtype(np.uint8), prod(stored), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(1)
    for name, shape in shapes.items():
        writer.write_tensor_data(_tensor(name, shape, quantized, rng))
    writer.close()


def _stays_fp32(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or "patch_embd" in name


def _tensor(name: str, shape: tuple[int, ...], quantized: bool, rng: np.random.Generator) -> np.ndarray:
    if quantized and len(shape) > 1:
        return q4_0_rows(shape, rng)
    array = np.concatenate(list(random_tensor(name, shape))).reshape(shape)
    return array if _stays_fp32(name, shape) else array.astype(np.float16)
