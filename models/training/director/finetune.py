"""Fine-tunes the language half on rendered conversations within a time budget; resumable.

Loss: cross-entropy on the assistant's tokens only, plus a binary loss on the modality switch at its first token. Knows
nothing of files' formats but its own checkpoint (safetensors).
"""

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from models.training.director import vocabulary as vo
from models.training.director.network import LanguageModel
from models.training.director.rendering import Batch, Example, collate

Source = Callable[[random.Random], list[Example]]
"""Gives one epoch's examples; asked again for each epoch, so that synthetic data can be new each time."""


@dataclass(frozen=True)
class Settings:
    """Times in seconds; rates are peaks of the schedule."""

    budget: float
    rate: float = 3e-4
    embedding_rate: float = 6e-4
    warmup: float = 90.0
    tokens_per_batch: int = 2048
    decision_weight: float = 0.5
    save_every: float = 480.0
    seed: int = 0


@dataclass
class Progress:
    """What a resumed run needs besides the tensors."""

    elapsed: float = 0.0
    step: int = 0
    epoch: int = 0
    tokens: int = 0


def input_embeddings(model: LanguageModel, batch: Batch) -> Tensor:
    """Input embeddings [B, T, hidden]: the tokens' own, and the tower's where an example's pictures were seen."""
    embeddings = model.embed_tokens(batch.ids)
    for row, example in enumerate(batch.examples):
        for (start, _), output in zip(example.pictures, example.seen, strict=False):
            embeddings[row, start : start + output.shape[0]] = output.to(embeddings.dtype)
    return embeddings


def losses(model: LanguageModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """(mean cross-entropy of the assistant's tokens, mean binary cross-entropy of the modality switch)."""
    states = model(input_embeddings(model, batch), batch.positions)
    wanted = batch.learn[:, 1:]
    logits = model.logits(states[:, :-1][wanted])
    normal = functional.log_softmax(logits, -1)
    words = functional.nll_loss(normal, batch.ids[:, 1:][wanted])
    first = _decision_rows(batch, wanted)
    draw = normal[first, vo.DRAW]
    switch = torch.where(_decisions(batch), draw, torch.log1p(-draw.exp().clamp(max=1 - 1e-6)))
    return words, -switch.mean()


def _decision_rows(batch: Batch, wanted: Tensor) -> Tensor:
    """Rows of the selected logits that stand at a decision."""
    order = torch.full(wanted.shape, -1)
    order[wanted] = torch.arange(int(wanted.sum()))
    rows = [order[row, at - 1] for row, example in enumerate(batch.examples) for at, _ in example.decisions]
    return torch.stack(rows)


def _decisions(batch: Batch) -> Tensor:
    return torch.tensor([draw for example in batch.examples for _, draw in example.decisions])


def batches(examples: list[Example], tokens: int, rng: random.Random) -> Iterator[Batch]:
    """Batches of about `tokens` tokens, alike in length, in random order."""
    ordered = sorted(examples, key=lambda example: len(example.ids) + rng.uniform(0, 16))
    groups: list[list[Example]] = [[]]
    for example in ordered:
        if groups[-1] and len(example.ids) * (len(groups[-1]) + 1) > tokens:
            groups.append([])
        groups[-1].append(example)
    rng.shuffle(groups)
    return (collate(group) for group in groups)


def schedule(elapsed: float, settings: Settings) -> float:
    """Factor on the learning rates: linear warm-up, then a cosine down to 2% at the end of the budget."""
    if elapsed < settings.warmup:
        return max(0.02, elapsed / settings.warmup)
    share = min(1.0, (elapsed - settings.warmup) / max(1.0, settings.budget - settings.warmup))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))


def build_optimizer(model: LanguageModel, settings: Settings) -> torch.optim.AdamW:
    """AdamW; weight decay on the matrices of the layers only."""
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and "embed" not in name]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "lr": settings.rate, "weight_decay": 0.02},
        {"params": vectors, "lr": settings.rate, "weight_decay": 0.0},
        {"params": [model.embed_tokens.weight], "lr": settings.embedding_rate, "weight_decay": 0.0},
    ]
    for group in groups:
        group["peak"] = group["lr"]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


class Finetuner:
    """The training loop with its checkpoint folder."""

    def __init__(self, model: LanguageModel, settings: Settings, folder: Path, log: Callable[[str], None]) -> None:
        self.model, self.settings, self.folder, self.log = model, settings, folder, log
        self.optimizer = build_optimizer(model, settings)
        self.progress = Progress()

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False if there is none."""
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return False
        stored = load_file(path)
        counters = stored.pop("progress").tolist()
        self.progress = Progress(counters[0], *(int(value) for value in counters[1:]))
        self.model.load_state_dict({n[6:]: t for n, t in stored.items() if n.startswith("model.")})
        for index, parameter in enumerate(self._parameters()):
            if f"first.{index}" in stored:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.progress.step)),
                    "exp_avg": stored[f"first.{index}"].float(),
                    "exp_avg_sq": stored[f"second.{index}"].float(),
                }
        return True

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def save(self) -> None:
        """Write the checkpoint: fp32 weights, bf16 moments, counters. Replaces the old one when complete."""
        tensors = {f"model.{name}": tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        for index, parameter in enumerate(self._parameters()):
            state = self.optimizer.state.get(parameter)
            if state:
                tensors[f"first.{index}"] = state["exp_avg"].bfloat16()
                tensors[f"second.{index}"] = state["exp_avg_sq"].bfloat16()
        counters = (self.progress.elapsed, self.progress.step, self.progress.epoch, self.progress.tokens)
        tensors["progress"] = torch.tensor(counters, dtype=torch.float64)
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / "checkpoint.part"
        save_file(tensors, fresh)
        fresh.replace(self.folder / "checkpoint.safetensors")

    def step(self, batch: Batch) -> tuple[float, float]:
        """One optimiser step; returns (cross-entropy, decision loss)."""
        factor = schedule(self.progress.elapsed, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        words, switch = losses(self.model, batch)
        (words + self.settings.decision_weight * switch).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return words.item(), switch.item()

    def run(self, source: Source, check: Callable[[], str]) -> None:
        """Train until the budget is spent; `check` is called at every save and its line goes to the log."""
        last_save = self.progress.elapsed
        while self.progress.elapsed < self.settings.budget:
            rng = random.Random(self.settings.seed + self.progress.step)
            for batch in batches(source(rng), self.settings.tokens_per_batch, rng):
                self._timed_step(batch)
                if self.progress.elapsed - last_save > self.settings.save_every:
                    last_save = self.progress.elapsed
                    self.save()
                    self.log(check())
                if self.progress.elapsed >= self.settings.budget:
                    break
            self.progress.epoch += 1
        self.save()
        self.log(check())

    def _timed_step(self, batch: Batch) -> None:
        started = time.monotonic()
        words, switch = self.step(batch)
        progress = self.progress
        progress.elapsed += time.monotonic() - started
        progress.step += 1
        progress.tokens += batch.ids.numel()
        if progress.step % 10 == 0:
            speed = batch.ids.numel() / (time.monotonic() - started)
            self.log(
                f"step {progress.step} epoch {progress.epoch} {progress.elapsed:.0f} s {progress.tokens} tokens "
                f"words {words:.3f} switch {switch:.3f} {speed:.0f} tokens/s"
            )
