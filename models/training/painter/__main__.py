"""`python -m models.training.painter STAGE [--config NAME] [--out FOLDER]`: one stage of the painter's training."""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from models.contracts import KnownError
from models.training.painter.config import PainterConfig, load_config

STAGES = ("vae", "latents", "unet", "decoder", "export", "all")


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.training.painter", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--config", default="cpu-128", help="a name in models/training/painter/configs, or a JSON file")
    parser.add_argument("--out", type=Path, default=Path("build/painter"), help="checkpoints, latents and previews")
    parser.add_argument(
        "--model", type=Path, default=Path("resources/models/limner-starter-sd"), help="where export writes"
    )
    parser.add_argument("--minutes", type=float, help="time budget of the stage, instead of the configuration's")
    parser.add_argument("--threads", type=int, help="CPU threads, instead of the configuration's")
    return parser.parse_args(arguments)


def _with_minutes(config: PainterConfig, stage: str, minutes: float | None) -> PainterConfig:
    field = {"vae": "vae_minutes", "decoder": "vae_minutes", "unet": "unet_minutes"}.get(stage)
    if minutes is None or field is None:
        return config
    return dataclasses.replace(config, **{field: minutes})  # type: ignore[arg-type]


def run_stage(stage: str, config: PainterConfig, folder: Path, model: Path) -> None:
    # Imported by stage: the first one needs neither transformers nor ONNX.
    if stage in ("vae", "all"):
        from models.training.painter.vae import train_vae

        train_vae(config, folder)
    if stage in ("latents", "all"):
        from models.training.painter.latents import encode_scenes

        encode_scenes(config, folder)
    if stage in ("unet", "all"):
        from models.training.painter.unet import train_unet

        train_unet(config, folder)
    if stage == "decoder":
        from models.training.painter.decoder import train_decoder

        train_decoder(config, folder, config.vae_minutes)
    if stage in ("export", "all"):
        from models.training.painter.export import export_painter

        export_painter(config, folder, model)


def main(arguments: list[str]) -> int:
    args = _arguments(arguments)
    try:
        config = _with_minutes(load_config(args.config), args.stage, args.minutes)
        torch.set_num_threads(args.threads or config.threads)
        args.out.mkdir(parents=True, exist_ok=True)
        run_stage(args.stage, config, args.out, args.model)
    except KnownError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
