"""Stage 3: the U-Net and, together with it, the text encoder, on the encoded scenes of stage 2.

A curriculum: scenes with the subject in its fixed place first (an outline appears soon), moved and flipped ones at the
end. Knows latents and captions, no pictures.
"""

import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from diffusers import DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from models.training.painter.bag_of_words import common_tokens, start_as_bag_of_words
from models.training.painter.captions import plain_caption, random_caption
from models.training.painter.checkpoints import (
    StopSignal,
    load_checkpoint,
    of_prefix,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
)
from models.training.painter.config import PainterConfig
from models.training.painter.latents import LatentSet, load_latents, shards
from models.training.painter.pipeline import (
    assemble,
    draw_prompts,
    fold_statistics,
    new_scheduler,
    new_text_encoder,
    new_unet,
)
from models.training.painter.preview import save_grid
from models.training.painter.prompts import contact_prompts
from models.training.painter.scenes_data import random_scene
from models.training.painter.tokenizer import train_tokenizer
from models.training.painter.untyped import Pipeline, TextEncoder, Unet
from models.training.painter.vae import load_vae
from models.training.scenes import Scene
from models.training.scenes.render import PLACES

#: How much more the subject's place counts than the background: a small subject is a small part of the picture.
SUBJECT_WEIGHTS = {"close-up": 2.0, "medium shot": 4.0, "panoramic": 8.0}
#: Share of plain captions before and after `varied_from`.
_PLAIN_FIRST, _PLAIN_LATER = 0.95, 0.4
_EMA_EVERY = 2
#: The text encoder learns more slowly than the U-Net, or it settles on the first thing it finds.
_TEXT_RATE = 0.1


def make_tokenizer(config: PainterConfig, folder: Path) -> CLIPTokenizer:
    """The run's tokenizer; learnt from sampled captions the first time."""
    home = folder / "tokenizer"
    if (home / "vocab.json").is_file():
        return CLIPTokenizer.from_pretrained(str(home))
    rng = random.Random(0)
    scenes = [random_scene(config, rng) for _ in range(30000 if len(config.subjects) > 8 else 500)]
    return train_tokenizer([random_caption(scene, rng, empty=0.0) for scene in scenes], home)


def place_weights(held: LatentSet) -> dict[str, Tensor]:
    """Lens -> loss weight per latent cell (1 × side × side), mean 1."""
    side = held.latents.shape[-1]
    weights = {}
    for lens, (share, top) in PLACES.items():
        grid = torch.ones(1, side, side)
        y, x, size = round(top * side), round((1 - share) / 2 * side), round(share * side)
        grid[:, y : y + size, x : x + size] = SUBJECT_WEIGHTS[lens]
        weights[lens] = grid / grid.mean()
    return weights


class Painter(nn.Module):
    """Text encoder and U-Net as one module: what is trained and averaged."""

    def __init__(self, config: PainterConfig, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text: TextEncoder = new_text_encoder(config, tokenizer)
        self.unet: Unet = new_unet(config)

    def forward(self, noisy: Tensor, times: Tensor, ids: Tensor) -> Tensor:
        """N × 4 × h × w, N, N × 77 → the predicted velocity, N × 4 × h × w."""
        states = self.text(ids).last_hidden_state
        return self.unet(noisy, times, states).sample


class PainterTrainer:
    """Model, average, optimizer and data of one run; resumes from its checkpoint."""

    def __init__(self, config: PainterConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        torch.manual_seed(0)
        self.tokenizer = make_tokenizer(config, folder)
        self._take_shards()
        self.weights = place_weights(self.held)
        self.painter = Painter(config, self.tokenizer).to(config.device)
        self.painter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Plain matrix products: the fused attention's backward pass on the CPU took a quarter of the whole step.
        self.painter.unet.set_attn_processor(AttnProcessor())
        self.painter.text.set_attn_implementation("eager")
        groups = [
            {"params": list(self.painter.unet.parameters()), "factor": 1.0},
            {"params": list(self.painter.text.parameters()), "factor": _TEXT_RATE},
        ]
        self.optimizer = torch.optim.AdamW(groups, config.unet_rate, betas=(0.9, 0.99), weight_decay=0.01)
        self.noise = DDPMScheduler.from_config(new_scheduler(config).config, clip_sample=False)
        self.ema = {name: tensor.clone() for name, tensor in self.painter.state_dict().items()}
        self.step, self.seconds, self.pictures = 0, 0.0, 0
        if not self.path.is_file():
            self._start_text()
        if self.path.is_file():
            self._resume()
        self.rng = random.Random(self.step)
        torch.manual_seed(self.step)

    def _start_text(self) -> None:
        rng = random.Random(2)
        scenes = [random_scene(self.config, rng) for _ in range(200)]
        common: set[int] = set()
        for language in ("en", "zh"):
            common |= set(common_tokens(self.tokenizer, [plain_caption(scene, language) for scene in scenes]))
        start_as_bag_of_words(self.painter.text, sorted(common))
        self.ema = {name: tensor.clone() for name, tensor in self.painter.state_dict().items()}

    @property
    def path(self) -> Path:
        return self.folder / "unet.safetensors"

    def _resume(self) -> None:
        tensors, progress = load_checkpoint(self.path)
        self.painter.load_state_dict(of_prefix("model", tensors))
        self.ema = {name: tensor.to(self.config.device) for name, tensor in of_prefix("ema", tensors).items()}
        restore_optimizer(self.optimizer, of_prefix("optimizer", tensors))
        self.step, self.seconds, self.pictures = progress["step"], progress["seconds"], progress["pictures"]

    def save(self) -> None:
        tensors = with_prefix("model", self.painter.state_dict()) | with_prefix("ema", self.ema)
        tensors |= with_prefix("optimizer", optimizer_tensors(self.optimizer))
        save_checkpoint(self.path, tensors, {"step": self.step, "seconds": self.seconds, "pictures": self.pictures})

    def take_new_shards(self) -> None:
        """Encoded scenes that have been added since the start join in."""
        if len(shards(self.folder)) > self.shards:
            self._take_shards()

    def _take_shards(self) -> None:
        self.shards = len(shards(self.folder))
        self.held = load_latents(self.folder)
        every, fixed = range(len(self.held.scenes)), self.held.fixed
        self.by_lens = {moved: self._of_lenses(every if moved else fixed) for moved in (True, False)}

    def _of_lenses(self, places: Sequence[int]) -> dict[str, list[int]]:
        grouped: dict[str, list[int]] = {}
        wanted = set(self.config.subjects)  # a run may go on with fewer subjects than were encoded
        for i in places:
            if self.held.scenes[i].subject not in wanted:
                continue
            grouped.setdefault(self.held.scenes[i].lens, []).append(i)
        return grouped

    def batch(self, share: float) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, token ids and loss weights of one step at the given share of the budget."""
        jittered = share >= self.config.jitter_from
        by_lens = self.by_lens[jittered]
        lenses = self.rng.choices(
            list(by_lens), [self.config.lenses[lens] for lens in by_lens], k=self.config.unet_batch
        )
        chosen = [self.rng.choice(by_lens[lens]) for lens in lenses]
        scenes = [self.held.scenes[i] for i in chosen]
        captions = [self._caption(scene, share >= self.config.varied_from) for scene in scenes]
        ids = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        weights = torch.stack([self.weights[scene.lens] for scene in scenes])
        latents = self.held.latents[chosen].float()
        return tuple(t.to(self.config.device) for t in (latents, ids, weights))  # type: ignore[return-value]

    def _caption(self, scene: Scene, varied: bool) -> str:
        """Plain captions teach the words first; the many ways of saying a scene come in later."""
        if self.rng.random() < (_PLAIN_LATER if varied else _PLAIN_FIRST):
            if self.rng.random() < self.config.empty_captions:
                return ""
            return plain_caption(scene, self.rng.choice(("en", "zh")))
        return random_caption(scene, self.rng, self.config.empty_captions)

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.config.device, torch.bfloat16, enabled=self.config.bfloat16)

    def loss(self, latents: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        count = len(latents)
        # One time from each of `count` equal strata: the same mean as uniform times, with less noise in the gradient.
        spread = (torch.randperm(count, device=latents.device) + torch.rand(count, device=latents.device)) / count
        # A little more of the noisy half: what the picture shows is decided there.
        times = (spread**0.75 * 1000).long().clamp(0, 999)
        noise = torch.randn_like(latents)
        noisy = self.noise.add_noise(latents, noise, times)
        target = self.noise.get_velocity(latents, noise, times)
        with self._autocast():
            guess = self.painter(noisy.contiguous(memory_format=torch.channels_last), times, ids)
        return (functional.mse_loss(guess.float(), target, reduction="none") * weights).mean()

    def rate(self, share: float) -> float:
        """Warm-up, a plateau for a quarter of the budget, then down in a straight line to a fiftieth."""
        return self.config.unet_rate * min(1.0, (self.step + 1) / 150) * max(0.02, min(1.0, (1 - share) / 0.75))

    def update(self, share: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(share) * group["factor"]
        loss = self.loss(*self.batch(share))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.painter.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.pictures += self.config.unet_batch
        if self.step % _EMA_EVERY == 0:
            self._average()
        return float(loss.detach())

    def _average(self) -> None:
        keep = min(0.997, (1 + self.step) / (20 + self.step))
        mine = self.painter.state_dict()
        floats = [name for name in mine if mine[name].is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.ema[n] for n in floats], [mine[n] for n in floats], 1 - keep)

    def preview(self) -> None:
        """The contact sheet's prompts, drawn by the averaged weights."""
        pipeline = averaged_pipeline(self.config, self.folder, self.ema)
        prompts = contact_prompts(self.config)
        minutes = round(self.seconds / 60)
        save_grid(draw_prompts(pipeline, prompts), 10, self.folder / f"unet_{minutes:03d}.png")


def averaged_pipeline(config: PainterConfig, folder: Path, ema: dict[str, Tensor] | None = None) -> Pipeline:
    """The pipeline of a run's averaged weights; from its checkpoint where none are given."""
    if ema is None:
        tensors, _ = load_checkpoint(folder / "unet.safetensors")
        ema = of_prefix("ema", tensors)
    tokenizer, held = make_tokenizer(config, folder), load_latents(folder)
    painter = Painter(config, tokenizer)
    painter.load_state_dict(ema)
    vae = fold_statistics(load_vae(config, folder), held.mean, held.scale)
    return assemble(config, vae, painter.unet, painter.text, tokenizer)


def train_unet(config: PainterConfig, folder: Path) -> None:
    """Trains until unet_minutes are spent in all (earlier runs count); saves and previews on the way."""
    trainer = PainterTrainer(config, folder)
    print(f"painter of {sum(p.numel() for p in trainer.painter.parameters()) / 1e6:.1f}M parameters", flush=True)
    budget, before, start, shown = config.unet_minutes * 60, trainer.seconds, time.monotonic(), trainer.seconds
    with StopSignal() as stop:
        while trainer.seconds < budget and not stop.asked:
            loss = trainer.update(trainer.seconds / budget)
            trainer.seconds = before + time.monotonic() - start
            if trainer.step % 100 == 0:
                trainer.take_new_shards()
                told = f"pictures {trainer.pictures} seconds {trainer.seconds:.0f} loss {loss:.4f}"
                print(f"unet step {trainer.step} {told}", flush=True)
            if trainer.seconds - shown > config.preview_minutes * 60:
                shown = trainer.seconds
                trainer.save()
                trainer.preview()
    trainer.save()
    if not stop.asked:
        trainer.preview()
