"""Every stage of the painter's training at toy size: seconds each, from scenes to a folder that diffusers opens."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import StableDiffusionPipeline

from models.training.painter import __main__ as command
from models.training.painter.checkpoints import load_checkpoint, of_prefix
from models.training.painter.config import load_config
from models.training.painter.latents import load_latents
from models.training.painter.pipeline import fold_statistics
from models.training.painter.vae import load_vae

CONFIG = load_config("toy")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all four stages have run; the exported model is in `model`."""
    folder = tmp_path_factory.mktemp("painter")
    threads = torch.get_num_threads()
    assert command.main(["all", "--config", "toy", "--out", str(folder), "--model", str(folder / "model")]) == 0
    torch.set_num_threads(threads)
    return folder


def progress(path: Path) -> dict[str, float]:
    return load_checkpoint(path)[1]


def test_the_autoencoder_learns(trained: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    command.main(["vae", "--config", "toy", "--out", str(fresh), "--minutes", "0"])
    held = load_latents(trained)
    assert len(held.scenes) == CONFIG.scenes == len(held.latents)
    assert 0 < len(held.fixed) < CONFIG.scenes
    assert progress(trained / "vae.safetensors")["step"] > 0 == progress(fresh / "vae.safetensors")["step"]
    before = of_prefix("ema", load_checkpoint(fresh / "vae.safetensors")[0])
    after = of_prefix("ema", load_checkpoint(trained / "vae.safetensors")[0])
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_latents_are_centred_and_scaled(trained: Path) -> None:
    latents = load_latents(trained).latents.float()
    assert latents.mean((0, 2, 3)).abs().max() < 0.02
    assert float(latents.std()) == pytest.approx(1, abs=0.02)


def test_folding_the_statistics_changes_no_picture(trained: Path) -> None:
    held, plain, folded = load_latents(trained), load_vae(CONFIG, trained), load_vae(CONFIG, trained)
    fold_statistics(folded, held.mean, held.scale)
    raw = torch.randn(2, CONFIG.latent_channels, 4, 4, generator=torch.Generator().manual_seed(0))
    shifted = raw - held.mean[None, :, None, None]
    with torch.no_grad():
        assert torch.allclose(plain.decode(raw).sample, folded.decode(shifted).sample, atol=1e-4)
    assert folded.config.scaling_factor == pytest.approx(held.scale)


def test_a_run_goes_on_where_it_stopped(trained: Path) -> None:
    path = trained / "unet.safetensors"
    before = progress(path)
    tensors = load_checkpoint(path)[0]
    longer = before["seconds"] / 60 + 0.03
    assert command.main(["unet", "--config", "toy", "--out", str(trained), "--minutes", str(longer)]) == 0
    after = progress(path)
    assert after["step"] > before["step"] and after["seconds"] > before["seconds"]
    assert after["pictures"] - before["pictures"] == (after["step"] - before["step"]) * CONFIG.unet_batch
    moments = of_prefix("optimizer", load_checkpoint(path)[0])
    assert moments.keys() == of_prefix("optimizer", tensors).keys()


def test_a_spent_budget_trains_no_more(trained: Path) -> None:
    before = progress(trained / "vae.safetensors")
    command.main(["vae", "--config", "toy", "--out", str(trained)])
    assert progress(trained / "vae.safetensors")["step"] == before["step"]


def test_the_export_loads_in_diffusers_and_draws(trained: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(
        trained / "model",
        torch_dtype=torch.float32,
        use_safetensors=True,
        safety_checker=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline("A fox", num_inference_steps=2, generator=torch.Generator().manual_seed(1), output_type="np").images
    assert made.shape == (1, CONFIG.side, CONFIG.side, 3) and np.isfinite(made).all()


def test_the_onnx_decoder_agrees_with_torch(trained: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(
        trained / "model",
        torch_dtype=torch.float32,
        use_safetensors=True,
        safety_checker=None,
        requires_safety_checker=False,
    )
    latents = torch.randn(1, CONFIG.latent_channels, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = pipeline.vae.decode(latents).sample.numpy()
    session = onnxruntime.InferenceSession(
        str(trained / "model" / "onnx" / "vae_decoder" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    theirs = session.run(None, {session.get_inputs()[0].name: latents.numpy()})[0]
    assert np.abs(ours - theirs).max() < 1e-3


def test_the_manifest_lists_every_file_with_its_size(trained: Path) -> None:
    model = trained / "model"
    told = json.loads((model / "limner-model.json").read_text(encoding="utf-8"))
    assert told["kind"] == "t2i" and told["defaults"]["width"] == CONFIG.side
    assert {"model_index.json", "unet/diffusion_pytorch_model.safetensors", "onnx/unet/model.onnx"} <= set(
        told["files"]
    )
    for name, entry in told["files"].items():
        assert (model / name).stat().st_size == entry["bytes"]


def test_a_wrong_setting_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"colour": 1}', encoding="utf-8")
    assert command.main(["vae", "--config", str(bad), "--out", str(tmp_path)]) == 3
    assert "colour" in capsys.readouterr().err
