"""The shipped starter director: its files, its vocabulary, its obvious decisions, and its numbers against torch."""

import json

import numpy as np
import pytest
import torch
from gguf import GGUFReader

from models.training.director import rendering, shipped, stages
from models.training.director import vocabulary as vo
from models.training.director.dialogues import split_prompt
from models.training.director.export import CONTROL, digest
from models.training.director.measure import prompt_of

FOLDER = stages.OUT


@pytest.fixture(scope="module")
def speaker() -> shipped.Speaker:
    return shipped.Speaker(FOLDER / stages.MODEL_FILE, context=1024)


@pytest.fixture(scope="module")
def renderer() -> rendering.Renderer:
    return rendering.Renderer(vo.build_tokenizer(vo.read_vocabulary_exactly(FOLDER / stages.MODEL_FILE)))


def opening(renderer: rendering.Renderer, text: str) -> list[int]:
    return renderer.system + renderer.user + renderer.plain(text) + renderer.assistant


def test_manifest_lists_every_file_with_its_hash() -> None:
    manifest = json.loads((FOLDER / "limner-model.json").read_text(encoding="utf-8"))
    present = {path.name for path in FOLDER.iterdir()} - {"limner-model.json"}
    assert set(manifest["files"]) == present
    assert {name: digest(FOLDER / name) for name in present} == manifest["files"]
    assert manifest["model"] in present and manifest["mmproj"] in present
    assert (manifest["kind"], manifest["protocol"], manifest["languages"]) == ("mllm", "dialoggen", ["en", "zh"])


def test_folder_is_small_enough_to_clone() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 95_000_000


def test_gguf_carries_the_protocols_tokens_and_template() -> None:
    fields = GGUFReader(FOLDER / stages.MODEL_FILE).fields
    tokens, types = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    assert fields["general.architecture"].contents() == "qwen2vl"
    assert {index: tokens[index] for index in vo.NEW_SPECIALS} == vo.NEW_SPECIALS
    assert all(types[index] == CONTROL for index in vo.NEW_SPECIALS)
    assert fields["tokenizer.chat_template"].contents() == vo.chat_template()
    assert (FOLDER / "chat_template.jinja").read_text(encoding="utf-8") == vo.chat_template()


@pytest.mark.parametrize("text", ["Draw a fox in the snow.", "你好，狐狸在雪地里", "3D 渲染 2024! don't", "naïve 🦊 x"])
def test_llama_cpp_tokenizes_as_in_training(speaker: shipped.Speaker, renderer: rendering.Renderer, text: str) -> None:
    theirs = speaker.llama.tokenize(text.encode(), add_bos=False, special=False)
    assert theirs == renderer.plain(text)


@pytest.mark.parametrize(
    ("text", "draws"),
    [
        ("Draw a red fox in the snow", True),
        ("Can you draw a cat on the beach?", True),
        ("What does a fox eat?", False),
        ("hello", False),
        ("画一只在雪地里的狐狸", True),
        ("请画一辆红色的汽车", True),
        ("狐狸吃什么？", False),
        ("你好", False),
    ],
)
def test_obvious_turns_are_decided_rightly(
    speaker: shipped.Speaker, renderer: rendering.Renderer, text: str, draws: bool
) -> None:
    assert (speaker.p_draw(opening(renderer, text)) > 0.5) == draws


def test_an_edit_keeps_the_prompt_but_for_the_background(
    speaker: shipped.Speaker, renderer: rendering.Renderer
) -> None:
    ids = opening(renderer, "Draw a red fox in the snow")
    first = speaker.reply(ids)
    before = split_prompt(prompt_of(first) or "")
    said = speaker.llama.tokenize(first.encode(), add_bos=False, special=True)
    follow = [*ids, *said, vo.IM_END, *renderer.newline, *renderer.user, *renderer.plain("now at night")]
    after = split_prompt(prompt_of(speaker.reply(follow + renderer.assistant)) or "")
    assert "fox" in before[0] and "snow" in before[1]
    assert "night" in after[1]
    assert (after[0], *after[2:]) == (before[0], *before[2:])


def test_llama_cpp_and_torch_give_the_same_logits(speaker: shipped.Speaker, renderer: rendering.Renderer) -> None:
    ids = opening(renderer, "Draw a red fox in the snow")
    network = shipped.load_network(FOLDER / stages.MODEL_FILE)
    with torch.no_grad():
        positions = torch.arange(len(ids)).expand(3, 1, -1)
        ours = network.logits(network(network.embed_tokens(torch.tensor([ids])), positions)[0, -1:])[0].numpy()
    theirs = speaker.next_logits(ids)
    # llama.cpp multiplies in 8 bits with a quantized file, so the two agree closely but not exactly.
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert ours.argmax() == theirs.argmax()
