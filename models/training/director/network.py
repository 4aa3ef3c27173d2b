"""The language half as a lean PyTorch module: Qwen2 with M-RoPE, fp32 weights, bf16 products, built for CPU training.

Parameter names are those of transformers' `Qwen2VLTextModel`, so a state dict fits both (parity is tested). Knows
nothing of tokens' meanings or of files.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training.director.base_weights import Shape

MROPE_SECTION = (8, 12, 12)
"""How many of the 32 rotary frequencies follow time, height and width (Qwen2-VL's scheme scaled to head size 64)."""


def rope_tables(positions: Tensor, shape: Shape, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin [B, 1, T, head_dim] from integer positions [3, B, T] (time, height, width)."""
    half = shape.head_dim // 2
    inverse = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    axis = torch.repeat_interleave(torch.arange(3), torch.tensor(MROPE_SECTION))
    angles = positions[axis].permute(1, 2, 0).float() * inverse
    angles = torch.cat((angles, angles), -1).unsqueeze(1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding in the half-split layout."""
    first, second = states.chunk(2, -1)
    return states * cos + torch.cat((-second, first), -1) * sin


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in fp32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, states: Tensor) -> Tensor:
        """Normalise the last axis; keeps the dtype."""
        wide = states.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).to(states.dtype)


class Projection(nn.Linear):
    """A bias-free linear layer whose fp32 weight is cast to the activations' dtype for the product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """[..., inputs] → [..., outputs]."""
        return functional.linear(states, self.weight.to(states.dtype))


class Attention(nn.Module):
    """Causal grouped-query attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = shape.heads, shape.kv_heads, shape.head_dim
        self.q_proj = Projection(shape.hidden, shape.heads * shape.head_dim)
        self.k_proj = Projection(shape.hidden, shape.kv_heads * shape.head_dim)
        self.v_proj = Projection(shape.hidden, shape.kv_heads * shape.head_dim)
        self.o_proj = Projection(shape.heads * shape.head_dim, shape.hidden)

    def forward(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, T, hidden] → [B, T, hidden]; right-padded rows need no mask because attention looks back only."""
        batch, length, _ = states.shape
        query = self.q_proj(states).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        key = self.k_proj(states).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        value = self.v_proj(states).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        mixed = self._attend(query, key, value)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Plain products: for short sequences in bf16 they are twice as fast on a CPU as torch's fused attention."""
        batch, _, length, size = query.shape
        grouped = query.reshape(batch, self.kv_heads, -1, size) * size**-0.5
        scores = (grouped @ key.transpose(2, 3)).view(batch, self.heads, length, length)
        ahead = torch.full((length, length), float("-inf"), dtype=scores.dtype).triu_(1)
        weights = torch.softmax(scores.add_(ahead), -1)
        return (weights.view(batch, self.kv_heads, -1, length) @ value).view(query.shape)


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = Projection(shape.hidden, shape.feed_forward)
        self.up_proj = Projection(shape.hidden, shape.feed_forward)
        self.down_proj = Projection(shape.feed_forward, shape.hidden)

    def forward(self, states: Tensor) -> Tensor:
        """[..., hidden] → [..., hidden]."""
        return self.down_proj(functional.silu(self.gate_proj(states)) * self.up_proj(states))


class Layer(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden, shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden, shape.norm_eps)
        self.mlp = FeedForward(shape)

    def forward(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, T, hidden] → [B, T, hidden]."""
        states = states + self.self_attn(self.input_layernorm(states), cos, sin)
        return states + self.mlp(self.post_attention_layernorm(states))


class LanguageModel(nn.Module):
    """Token or picture embeddings in, hidden states out; logits only where they are asked for (tied embedding)."""

    def __init__(self, shape: Shape, compute: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.shape, self.compute = shape, compute
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden, shape.norm_eps)

    def forward(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """Embeddings [B, T, hidden] and positions [3, B, T] → normalised hidden states [B, T, hidden]."""
        states = embeddings.to(self.compute)
        cos, sin = rope_tables(positions, self.shape, self.compute)
        for layer in self.layers:
            states = layer(states, cos, sin)
        return self.norm(states)

    def logits(self, states: Tensor) -> Tensor:
        """Hidden states [N, hidden] → fp32 logits [N, vocabulary]."""
        return functional.linear(states, self.embed_tokens.weight.to(states.dtype)).float()
