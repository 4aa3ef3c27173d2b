"""Opens an SD 1.x, SD 2.x or SDXL checkpoint of one .safetensors file with the configurations in resources/t2i.

Never asks a network. Knows the original (LDM) layout through diffusers' converter only.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer

from models.contracts import BadModelError, ModelDescription
from models.t2i.single_file import SingleFile, check_shapes
from resources import resource

V_PREDICTION_MARK = -1.0
"""Mean of (output - input) of SD 2.x's U-Net at the last timestep below which it predicts v, not the noise."""


def config_folder(name: str) -> Path:
    """The carried configuration of a family: sd15, sd21, sd21-base or sdxl."""
    return resource("t2i", name)


def load_single_file(
    path: Path,
    found: SingleFile,
    cls: Any,
    torch_dtype: torch.dtype,
    description: ModelDescription,
    extras: dict[str, Any],
) -> Any:
    """A diffusers pipeline. Raises BadModelError if the tensors do not fit their family; ValueError etc. from
    diffusers."""
    folder = config_folder(found.config)
    check_shapes(path.name, found.header, _config(folder, "unet"), _config(folder, "vae"))
    pipeline = cls.from_single_file(
        str(path),
        config=str(folder),
        torch_dtype=torch_dtype,
        local_files_only=True,
        **_tokenizers(found.config),
        **extras,
    )
    _refuse_missing(pipeline, path)
    prediction = str(description.defaults.get("prediction_type", found.prediction)) or probe_prediction(pipeline.unet)
    if found.config == "sd21" and prediction == "epsilon":
        _make_sd21_base(pipeline)
    scheduler = dict(pipeline.scheduler.config) | {"prediction_type": prediction}
    if found.zero_terminal_snr:
        scheduler |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    pipeline.scheduler = type(pipeline.scheduler).from_config(scheduler)
    return pipeline


def _config(folder: Path, part: str) -> dict[str, Any]:
    return dict(json.loads((folder / part / "config.json").read_text(encoding="utf-8")))


def _tokenizers(config: str) -> dict[str, Any]:
    """CLIP's tokenizer; OpenCLIP's encoders (SD 2.x, SDXL's second) are padded with "!" instead of the end token."""
    folder = config_folder("clip_tokenizer")
    plain = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    padded = CLIPTokenizer.from_pretrained(folder, local_files_only=True, pad_token="!")
    if config == "sdxl":
        return {"tokenizer": plain, "tokenizer_2": padded}
    return {"tokenizer": padded if config == "sd21" else plain}


def _refuse_missing(pipeline: Any, path: Path) -> None:
    """Weights that were not in the file stay on the meta device: name the first."""
    for part, module in pipeline.components.items():
        if isinstance(module, torch.nn.Module):
            missing = next((name for name, p in module.named_parameters() if p.is_meta), None)
            if missing:
                raise BadModelError(f"{path.name} lacks {missing} of its {part}; download the full checkpoint again.")


def _make_sd21_base(pipeline: Any) -> None:
    """The 512 px variants of SD 2.x differ from the 768 px ones by configuration alone."""
    side = _config(config_folder("sd21-base"), "unet")["sample_size"]
    pipeline.unet.register_to_config(sample_size=side)


@torch.inference_mode()
def probe_prediction(unet: Any) -> str:
    """ "v_prediction" or "epsilon", by one step on a constant input: SD 2.x's two kinds have the same tensors and no
    mark."""
    context = torch.full((1, 2, unet.config.cross_attention_dim), 0.5, dtype=unet.dtype)
    sample = torch.full((1, unet.config.in_channels, 8, 8), 0.5, dtype=unet.dtype)
    output = unet(sample, torch.tensor([999]), encoder_hidden_states=context, return_dict=False)[0]
    return "v_prediction" if float((output - sample).float().mean()) < V_PREDICTION_MARK else "epsilon"
