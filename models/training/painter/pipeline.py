"""The trained parts put together as an ordinary diffusers StableDiffusionPipeline. Knows shapes, no training."""

import math

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from models.training.painter.config import PainterConfig
from models.training.painter.untyped import Pipeline, Scheduler, TextEncoder, Unet, Vae

#: Few steps are enough for pictures this small; measured on contact sheets.
PREVIEW_STEPS, PREVIEW_GUIDANCE = 12, 4.0


def new_unet(config: PainterConfig) -> Unet:
    """Attention to the text below the finest level only: at 16×16 it costs as much as all the rest and adds little."""
    return UNet2DConditionModel(
        sample_size=config.side // 8,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        layers_per_block=1,
        block_out_channels=tuple(config.unet_channels),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=config.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_text_encoder(config: PainterConfig, tokenizer: CLIPTokenizer) -> TextEncoder:
    settings = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text_width,
        intermediate_size=config.text_width * 3,
        num_hidden_layers=config.text_layers,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=config.text_width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(settings)


def new_scheduler(config: PainterConfig) -> Scheduler:
    """v-prediction over Stable Diffusion's scaled_linear schedule, with a larger end: almost nothing of the picture is
    left at the last step (1.5% instead of 7%), yet sigma stays finite, so that every scheduler can take its place.
    DDIM is what is written down, because its configuration also tells the others not to clip latents."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=config.beta_end,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
    )


def fold_statistics(vae: Vae, mean: Tensor, scale: float) -> Vae:
    """Moves the latents' shift into the biases of quant_conv and post_quant_conv and sets scaling_factor: pipelines
    that know only a scaling factor then work without a patch. The decoded pictures stay the same."""
    shift = mean.to(vae.quant_conv.bias.dtype)
    with torch.no_grad():
        vae.quant_conv.bias[: len(shift)] -= shift
        weight = vae.post_quant_conv.weight[:, :, 0, 0]
        vae.post_quant_conv.bias += weight @ shift
    vae.register_to_config(scaling_factor=scale)
    return vae


def assemble(config: PainterConfig, vae: Vae, unet: Unet, text: TextEncoder, tokenizer: CLIPTokenizer) -> Pipeline:
    """vae: with its statistics folded in."""
    pipeline: Pipeline = StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=new_scheduler(config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw_prompts(
    pipeline: Pipeline,
    prompts: list[str],
    seed: int = 0,
    steps: int = PREVIEW_STEPS,
    guidance: float = PREVIEW_GUIDANCE,
) -> list[np.ndarray]:
    """One byte picture (H × W × 3) a prompt; the i-th has the seed `seed + i`, whatever the batch."""
    drawn: list[np.ndarray] = []
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    for part in range(math.ceil(len(prompts) / 15)):
        asked = prompts[part * 15 : part * 15 + 15]
        noise = [torch.Generator("cpu").manual_seed(seed + part * 15 + i) for i in range(len(asked))]
        made = pipeline(
            asked, num_inference_steps=steps, guidance_scale=guidance, generator=noise, output_type="np"
        ).images
        drawn += [np.round(picture * 255).astype(np.uint8) for picture in made]
    return drawn
