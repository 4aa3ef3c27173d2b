"""Tiny painters with random weights in the public layouts: written as diffusers folders or as original single files."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

from models.contracts import ModelDescription
from models.evaluation.ldm_layout import ldm_state
from resources import resource

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
BETAS |= {"set_alpha_to_one": False, "steps_offset": 1}


def clip_tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(resource("t2i", "clip_tokenizer"), pad_token=pad)


def text_encoder(cls: Any, width: int) -> Any:
    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=width, bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    return cls(config).eval()


def vae(latent_channels: int = 4) -> AutoencoderKL:
    torch.manual_seed(2)
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=latent_channels, layers_per_block=1, norm_num_groups=4, sample_size=64,
    ).eval()  # fmt: skip


def unet(context: int, sample_size: int = 8, **more: Any) -> UNet2DConditionModel:
    """Its output has about unit variance, as a trained one's: what it says must matter to the picture."""
    torch.manual_seed(3)
    made = UNet2DConditionModel(
        sample_size=sample_size, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        cross_attention_dim=context,
        attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **more,
    ).eval()  # fmt: skip
    with torch.no_grad():
        made.conv_out.weight.mul_(3)
    return made


def sd15() -> StableDiffusionPipeline:
    scheduler = PNDMScheduler(**{k: v for k, v in BETAS.items() if k != "clip_sample"}, skip_prk_steps=True)
    return _sd(scheduler, clip_tokenizer(), unet(16), text_encoder(CLIPTextModel, 16))


def sd21() -> StableDiffusionPipeline:
    scheduler = DDIMScheduler(**BETAS, prediction_type="v_prediction")
    return _sd(scheduler, clip_tokenizer("!"), unet(24, use_linear_projection=True), text_encoder(CLIPTextModel, 24))


def _sd(scheduler: Any, tokenizer: Any, denoiser: Any, encoder: Any) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae(), unet=denoiser, text_encoder=encoder, tokenizer=tokenizer, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def sdxl() -> StableDiffusionXLPipeline:
    denoiser = unet(
        40, use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8, transformer_layers_per_block=(1, 2),
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=vae(), unet=denoiser, text_encoder=text_encoder(CLIPTextModel, 16),
        text_encoder_2=text_encoder(CLIPTextModelWithProjection, 24), tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer("!"),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        steps_offset=1),
        add_watermarker=False,
    )  # fmt: skip


def hunyuandit(folder: Path) -> HunyuanDiTPipeline:
    """`folder` is for the tokenizers' vocabularies."""
    torch.manual_seed(4)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "fox", "##es", "in", "the", "snow"]
    (folder / "bert.txt").write_text("\n".join(words), encoding="utf-8")
    transformer = HunyuanDiT2DModel(
        sample_size=8, patch_size=2, num_layers=2, num_attention_heads=2, attention_head_dim=16, in_channels=4,
        hidden_size=32,
        cross_attention_dim=32, cross_attention_dim_t5=32, pooled_projection_dim=16, mlp_ratio=2.0, text_len=77,
        text_len_t5=256,
        activation_fn="gelu-approximate",
    ).eval()  # fmt: skip
    bert = BertModel(BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
    )).eval()  # fmt: skip
    t5 = T5EncoderModel(T5Config(vocab_size=300, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2)).eval()
    return HunyuanDiTPipeline(
        vae=vae(), text_encoder=bert, tokenizer=BertTokenizer(str(folder / "bert.txt"), model_max_length=77),
        transformer=transformer, scheduler=DDPMScheduler(beta_start=0.00085, beta_end=0.02,
        prediction_type="v_prediction"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False, text_encoder_2=t5,
        tokenizer_2=_t5_tokenizer(folder),
    )  # fmt: skip


def _t5_tokenizer(folder: Path) -> Any:
    """A T5 tokenizer over single letters: enough to fill its 256 places."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import T5TokenizerFast

    letters = ["<pad>", "</s>", "<unk>", "\u2581", *map(chr, range(33, 127))]
    model = Tokenizer(models.Unigram([(letter, -1.0 - i / 100) for i, letter in enumerate(letters)], unk_id=2))
    model.pre_tokenizer, model.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return T5TokenizerFast(tokenizer_object=model, extra_ids=0)


def save_single_file(pipeline: Any, family: str, path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in ldm_state(pipeline, family).items()}, str(path))
    return path


def save_configs(pipeline: Any, folder: Path) -> None:
    """What resources/t2i has for a family, in the tiny size: configurations without weights."""
    pipeline.save_config(folder)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
            (folder / name).mkdir(parents=True)
            (folder / name / "config.json").write_text(json.dumps(config, default=str), encoding="utf-8")
    pipeline.scheduler.save_pretrained(folder / "scheduler")


def describe(path: Path, **more: Any) -> ModelDescription:
    kind = "diffusers" if path.is_dir() else "single_file"
    return ModelDescription(name=path.stem, kind="t2i", path=str(path), format=kind, sha256="0" * 64, **more)
