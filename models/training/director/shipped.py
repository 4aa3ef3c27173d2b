"""Reads and runs the exported files: weights back from a GGUF, and the text side through llama.cpp.

Used to measure what is shipped and not what was trained. Knows no training.
"""

from pathlib import Path

import llama_cpp
import numpy as np
import torch
from gguf import GGUFReader, dequantize

from models.training.director import vocabulary as vo
from models.training.director.base_weights import LAYER_NAMES, Shape
from models.training.director.network import LanguageModel


def read_language_half(path: Path) -> dict[str, torch.Tensor]:
    """fp32 state dict of an exported (also quantized) language half; its rows are in Qwen2's order already."""
    state = {}
    for tensor in GGUFReader(path).tensors:
        parts = tensor.name.split(".")
        if parts[-1] == "bias":
            continue
        array = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
        if parts[0] == "blk":
            state[f"layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight"] = array
        else:
            state[{"token_embd": "embed_tokens.weight", "output_norm": "norm.weight"}[parts[0]]] = array
    return state


def shape_of(state: dict[str, torch.Tensor]) -> Shape:
    """Sizes of a language half from its tensors."""
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    return Shape(
        layers=layers,
        vocabulary=state["embed_tokens.weight"].shape[0],
        hidden=state["norm.weight"].shape[0],
        heads=state["layers.0.self_attn.q_proj.weight"].shape[0] // 64,
        kv_heads=state["layers.0.self_attn.k_proj.weight"].shape[0] // 64,
        feed_forward=state["layers.0.mlp.up_proj.weight"].shape[0],
    )


def load_network(path: Path, compute: torch.dtype = torch.float32) -> LanguageModel:
    """The exported language half as a torch model."""
    state = read_language_half(path)
    model = LanguageModel(shape_of(state), compute)
    model.load_state_dict(state)
    return model.eval()


class Speaker:
    """The exported language half in llama.cpp, without pictures."""

    def __init__(self, path: Path, context: int = 2048) -> None:
        self.llama = llama_cpp.Llama(
            str(path), n_ctx=context, n_threads=1, n_threads_batch=1, verbose=False, logits_all=False
        )

    def next_logits(self, ids: list[int]) -> np.ndarray:
        """fp32 logits [vocabulary] behind `ids`; what stood in the cache before is forgotten."""
        self.llama.reset()
        self.llama.eval(ids)
        return self._logits()

    def _logits(self) -> np.ndarray:
        pointer = llama_cpp.llama_get_logits_ith(self.llama.ctx, -1)
        return np.ctypeslib.as_array(pointer, shape=(self.llama.n_vocab(),)).copy()

    @staticmethod
    def _next_token(logits: np.ndarray) -> int:
        """The likeliest token that an answer may contain: the application forbids the others in the same way."""
        forbidden = [index for index in range(vo.N_SPECIALS) if index not in (vo.DRAW, vo.DRAW_END, vo.IM_END)]
        logits[forbidden] = -np.inf
        return int(logits.argmax())

    def p_draw(self, ids: list[int]) -> float:
        """Probability that the reply to the conversation `ids` is a drawing."""
        logits = self.next_logits(ids).astype(np.float64)
        return float(np.exp(logits[vo.DRAW] - np.logaddexp.reduce(logits)))

    def reply(self, ids: list[int], room: int = 160) -> str:
        """Greedy reply to `ids`, specials spelled out, without the closing `<|im_end|>`."""
        said: list[int] = []
        logits = self.next_logits(ids)
        while len(said) < room and (token := self._next_token(logits)) != vo.IM_END:
            said.append(token)
            self.llama.eval([token])
            logits = self._logits()
        return self.llama.detokenize(said, special=True).decode("utf-8", errors="replace")
