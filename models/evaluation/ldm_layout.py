"""Names a diffusers pipeline's weights as the original single-file checkpoints of Stable Diffusion and SDXL do.

The reverse of what diffusers does when it opens such a file; used to write checkpoints of that layout. Works on real
tensors and on tensors of the meta device alike. Knows names only.
"""

from typing import Any

import torch

State = dict[str, torch.Tensor]

UNET_NAMES = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "add_embedding.linear_1.": "label_emb.0.0.",
    "add_embedding.linear_2.": "label_emb.0.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}
RESNET_NAMES = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "time_emb_proj.": "emb_layers.1.",
    "conv_shortcut.": "skip_connection.",
}
OPEN_CLIP_NAMES = {
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.out_proj.": "attn.out_proj.",
}
VAE_ATTENTION = {"group_norm.": "norm.", "to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "proj_out."}


def ldm_state(pipeline: Any, family: str) -> State:
    """All weights of a pipeline under their original names. `family`: "sd15" | "sd21" | "sdxl"."""
    state = {
        f"model.diffusion_model.{unet_name(pipeline.unet.config, n)}": t for n, t in pipeline.unet.state_dict().items()
    }
    state |= vae_state(pipeline.vae)
    if family == "sd15":
        return state | clip_state(pipeline.text_encoder, "cond_stage_model.transformer.")
    if family == "sd21":
        return state | open_clip_state(pipeline.text_encoder, "cond_stage_model.model.")
    state |= clip_state(pipeline.text_encoder, "conditioner.embedders.0.transformer.")
    return state | open_clip_state(pipeline.text_encoder_2, "conditioner.embedders.1.model.")


def unet_name(config: Any, name: str) -> str:
    """The original name of a U-Net tensor, for any number of levels and layers."""
    for ours, theirs in UNET_NAMES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    layers = config.layers_per_block
    part, *rest = name.split(".")
    if part == "mid_block":
        kind, index, *tail = rest
        return _inner(f"middle_block.{1 if kind == 'attentions' else 2 * int(index)}", kind, ".".join(tail))
    level, kind, index, *tail = rest
    if part == "down_blocks":
        return _down(int(level), kind, int(index), ".".join(tail), layers)
    attends = "CrossAttn" in config.up_block_types[int(level)]
    return _up(int(level), kind, int(index), ".".join(tail), layers, attends)


def _down(level: int, kind: str, index: int, tail: str, layers: int) -> str:
    if kind == "downsamplers":
        return f"input_blocks.{(layers + 1) * (level + 1)}.0.op.{tail.removeprefix('conv.')}"
    block = f"input_blocks.{(layers + 1) * level + index + 1}.{0 if kind == 'resnets' else 1}"
    return _inner(block, kind, tail)


def _up(level: int, kind: str, index: int, tail: str, layers: int, attends: bool) -> str:
    if kind == "upsamplers":
        return f"output_blocks.{(layers + 1) * level + layers}.{2 if attends else 1}.{tail}"
    return _inner(f"output_blocks.{(layers + 1) * level + index}.{0 if kind == 'resnets' else 1}", kind, tail)


def _inner(block: str, kind: str, tail: str) -> str:
    if kind == "resnets":
        for ours, theirs in RESNET_NAMES.items():
            if tail.startswith(ours):
                return f"{block}.{theirs}{tail.removeprefix(ours)}"
    return f"{block}.{tail}"


def vae_state(vae: Any) -> State:
    """The VAE's weights under "first_stage_model."; its attention becomes 1×1 convolutions, as they were."""
    levels = len(vae.config.block_out_channels)
    state = {}
    for name, tensor in vae.state_dict().items():
        new = vae_name(name, levels)
        is_matrix = ".attn_1." in new and new.endswith("weight") and tensor.ndim == 2
        state["first_stage_model." + new] = tensor[:, :, None, None] if is_matrix else tensor
    return state


def vae_name(name: str, levels: int) -> str:
    """The original name of a VAE tensor."""
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = name.replace("mid_block.resnets.0.", "mid.block_1.").replace("mid_block.resnets.1.", "mid.block_2.")
    if "mid_block.attentions.0." in name:
        name = name.replace("mid_block.attentions.0.", "mid.attn_1.")
        for ours, theirs in VAE_ATTENTION.items():
            name = name.replace(ours, theirs)
    for level in range(levels):
        name = name.replace(f"down_blocks.{level}.", f"down.{level}.")
        name = name.replace(f"up_blocks.{level}.", f"up.{levels - 1 - level}.")
    name = name.replace(".resnets.", ".block.")
    return name.replace("downsamplers.0.", "downsample.").replace("upsamplers.0.", "upsample.")


def clip_state(encoder: Any, prefix: str) -> State:
    """A transformers CLIP text encoder keeps its names."""
    return {prefix + name: tensor for name, tensor in encoder.state_dict().items()}


def open_clip_state(encoder: Any, prefix: str) -> State:
    """A transformers CLIP text encoder under OpenCLIP's names, with q, k and v in one matrix."""
    source = encoder.state_dict()
    state = {
        "token_embedding.weight": source["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": source["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": source["text_model.final_layer_norm.weight"],
        "ln_final.bias": source["text_model.final_layer_norm.bias"],
    }
    if "text_projection.weight" in source:
        state["text_projection"] = source["text_projection.weight"].T.contiguous()
    for layer in range(encoder.config.num_hidden_layers):
        ours, theirs = f"text_model.encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            joined = torch.cat([source[f"{ours}self_attn.{x}_proj.{kind}"] for x in "qkv"])
            state[f"{theirs}attn.in_proj_{kind}"] = joined
            state |= {f"{theirs}{b}{kind}": source[f"{ours}{a}{kind}"] for a, b in OPEN_CLIP_NAMES.items()}
    return {prefix + name: tensor for name, tensor in state.items()}
