"""A toy director is trained, exported, quantized and loaded by llama.cpp; torch, transformers and llama.cpp agree."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from models.training.director import evaluate, export, finetune, rendering, shipped, vision
from models.training.director import vocabulary as vo
from models.training.director.base_weights import Shape
from models.training.director.dialogues import Dialogue, Picture, Turn
from models.training.director.network import LanguageModel

VOCABULARY = vo.Vocabulary(
    [vo.NEW_SPECIALS.get(i, ("<|endoftext|>", "<|im_start|>", "<|im_end|>")[i] if i < 3 else f"<unused{i}>")
     for i in range(vo.N_SPECIALS)] + sorted(ByteLevel.alphabet()) + ["dr"], ["d r"],
)  # fmt: skip
SHAPE = Shape(layers=2, hidden=128, heads=2, kv_heads=1, feed_forward=96, vocabulary=len(VOCABULARY.tokens))
PICTURE = Picture("fox", "a river", "close-up", "neon")
DIALOGUES = [
    Dialogue("a", "en", "D_T", (Turn("draw", "ok", "a, b"), Turn("what?", "so", None, PICTURE))),
    Dialogue("b", "en", "D_T", (Turn("what?", "so"), Turn("draw", "ok", "a, b", PICTURE))),
]


@pytest.fixture(scope="module")
def renderer() -> rendering.Renderer:
    return rendering.Renderer(vo.build_tokenizer(VOCABULARY))


@pytest.fixture(scope="module")
def trained(renderer: rendering.Renderer, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(SHAPE, torch.float32)
    torch.nn.init.normal_(model.embed_tokens.weight, std=0.1)
    settings = finetune.Settings(budget=1e9, rate=3e-3, embedding_rate=3e-3, warmup=0.0, tokens_per_batch=4096)
    tuner = finetune.Finetuner(model, settings, tmp_path_factory.mktemp("run"), lambda line: None)
    examples = [renderer.render(dialogue) for dialogue in DIALOGUES]
    for _ in range(60):
        for batch in finetune.batches(examples, settings.tokens_per_batch, random.Random(0)):
            tuner.step(batch)
    return model


@pytest.fixture(scope="module")
def half(trained: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "toy-f16.gguf"
    export.write_language_half(path, trained.state_dict(), SHAPE, VOCABULARY)
    return path


def test_training_learns_the_switch(trained: LanguageModel, renderer: rendering.Renderer) -> None:
    decisions = evaluate.decide(trained, renderer.render, DIALOGUES)
    assert evaluate.accuracy(decisions) == 100.0
    assert evaluate.table(decisions)["en"]["round 1"] == {"T->I": 100.0, "T->T": 100.0, "all": 100.0}


def test_checkpoint_resumes_where_it_stopped(renderer: rendering.Renderer, tmp_path: Path) -> None:
    batch = rendering.collate([renderer.render(dialogue) for dialogue in DIALOGUES])
    states, settings = [], finetune.Settings(1e9, warmup=0.0)
    for stop in (4, 2):
        torch.manual_seed(1)
        tuner = finetune.Finetuner(LanguageModel(SHAPE, torch.float32), settings, tmp_path, print)
        for _ in range(stop):
            tuner.progress.step += 1
            tuner.step(batch)
        if stop == 2:
            tuner.save()
            tuner = finetune.Finetuner(LanguageModel(SHAPE, torch.float32), settings, tmp_path, print)
            assert tuner.resume() and tuner.progress.step == 2
            for _ in range(2):
                tuner.step(batch)
        states.append(tuner.model.state_dict())
    for name, tensor in states[0].items():
        assert torch.allclose(tensor, states[1][name], atol=1e-4), name


def test_llama_cpp_gives_the_logits_torch_gives(half: Path, renderer: rendering.Renderer) -> None:
    ids = renderer.render(Dialogue("c", "en", "D_T", (Turn("draw a fox", "ok", "a, b"),))).ids
    network = shipped.load_network(half)
    with torch.no_grad():
        positions = torch.arange(len(ids)).expand(3, 1, -1)
        ours = network.logits(network(network.embed_tokens(torch.tensor([ids])), positions)[:, -1])[0].numpy()
    theirs = shipped.Speaker(half, context=512).next_logits(ids)
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(ours).max()
    assert ours.argmax() == theirs.argmax()


def test_quantized_file_still_decides(half: Path, renderer: rendering.Renderer, tmp_path: Path) -> None:
    small = tmp_path / "toy-q8.gguf"
    export.quantize(half, small, "Q8_0", "Q8_0")
    assert small.stat().st_size < half.stat().st_size
    speaker = shipped.Speaker(small, context=512)
    opening = [*renderer.system, *renderer.user]
    assert speaker.p_draw(opening + renderer.plain("draw") + renderer.assistant) > 0.5
    assert speaker.p_draw(opening + renderer.plain("what?") + renderer.assistant) < 0.5
    assert speaker.reply(opening + renderer.plain("draw") + renderer.assistant) == "<draw>a, b</draw>ok"


def test_network_and_tower_are_transformers_qwen2_vl(trained: LanguageModel, renderer: rendering.Renderer) -> None:
    tower_config = vision.tower_config(depth=1, width=64, heads=2, hidden=SHAPE.hidden)
    model = qwen2_vl(tower_config.to_dict())
    state = {f"model.language_model.{name}": tensor for name, tensor in trained.state_dict().items()}
    missing = model.load_state_dict(state, strict=False).missing_keys
    assert all("bias" in name or "visual" in name or name == "lm_head.weight" for name in missing)
    model.tie_weights()
    example = renderer.render(DIALOGUES[0])
    pixels = torch.randn(1, 3, vision.IMAGE_SIDE, vision.IMAGE_SIDE)
    flat, grid = vision.patches(pixels)
    with torch.no_grad():
        example.seen = [vision.encode(model.model.visual, pixels)[0]]
        batch = rendering.collate([example])
        ours = trained.logits(trained(finetune.input_embeddings(trained, batch), batch.positions)[0])
        start, _ = example.pictures[0]
        ids = batch.ids.clone()
        ids[0, start : start + rendering.PICTURE_TOKENS] = vo.IMAGE_PAD
        theirs = model(input_ids=ids, pixel_values=flat, image_grid_thw=grid).logits[0]
    assert torch.allclose(ours, theirs, atol=2e-3)


def qwen2_vl(tower: dict[str, object]) -> Qwen2VLForConditionalGeneration:
    text = {
        "hidden_size": SHAPE.hidden, "num_hidden_layers": SHAPE.layers, "num_attention_heads": SHAPE.heads,
        "num_key_value_heads": SHAPE.kv_heads, "intermediate_size": SHAPE.feed_forward, "vocab_size": SHAPE.vocabulary,
        "rope_theta": SHAPE.rope_base, "rms_norm_eps": SHAPE.norm_eps, "tie_word_embeddings": True,
        "rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]},
    }  # fmt: skip
    torch.manual_seed(2)
    config = Qwen2VLConfig(
        text_config=text, vision_config=tower, image_token_id=vo.IMAGE_PAD, vision_start_token_id=vo.VISION_START,
        vision_end_token_id=vo.VISION_END, tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen2VLForConditionalGeneration(config).eval()
    for layer in model.model.language_model.layers:
        for name in ("q_proj", "k_proj", "v_proj"):
            torch.nn.init.zeros_(getattr(layer.self_attn, name).bias)
    return model
