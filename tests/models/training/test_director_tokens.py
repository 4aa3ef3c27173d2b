"""From a conversation to tokens: byte-exact with the chat template, loss on the assistant only, M-RoPE positions."""

import random
from pathlib import Path

import jinja2
import pytest
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from models.training.director import corrections, rendering, stages, synthetic
from models.training.director import dialogues as dg
from models.training.director import vocabulary as vo
from models.training.director.merges import learn_merges

SHIPPED = stages.OUT


@pytest.fixture(scope="module")
def renderer() -> rendering.Renderer:
    return rendering.Renderer(vo.build_tokenizer(vo.read_vocabulary_exactly(SHIPPED / stages.MODEL_FILE)))


@pytest.fixture(scope="module")
def conversations() -> list[dg.Dialogue]:
    _, validation = stages.load_split()
    return validation[::9] + synthetic.sessions(random.Random(0), {"en": 3, "zh": 3}, {"en": 3, "zh": 3})


def templated(dialogue: dg.Dialogue) -> str:
    messages = []
    for turn in dialogue.turns:
        parts: list[dict[str, str]] = [{"type": "text", "text": turn.user}]
        if turn.picture:
            parts.insert(0, {"type": "image"})
        messages.append({"role": "user", "content": parts})
        messages.append({"role": "assistant", "content": rendering.answer(turn)})
    environment = jinja2.Environment(keep_trailing_newline=True)
    template = (SHIPPED / "chat_template.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(messages=messages)


def one_pad_a_picture(example: rendering.Example) -> list[int]:
    ids = list(example.ids)
    for start, _ in reversed(example.pictures):
        ids[start : start + rendering.PICTURE_TOKENS] = [vo.IMAGE_PAD]
    return ids


def test_rendering_is_the_chat_template_byte_for_byte(
    renderer: rendering.Renderer, conversations: list[dg.Dialogue]
) -> None:
    for dialogue in conversations:
        ids = one_pad_a_picture(renderer.render(dialogue))
        text = templated(dialogue)
        assert renderer.tokenizer.decode(ids, skip_special_tokens=False) == text
        assert ids == renderer.tokenizer.encode(text, add_special_tokens=False).ids


def test_string_content_and_own_system_prompt_render_too() -> None:
    template = jinja2.Environment().from_string(vo.chat_template())
    plain = template.render(messages=[{"role": "user", "content": "hi"}], add_generation_prompt=True)
    assert plain == (
        f"<|im_start|>system\n{vo.system_prompt()}<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    own = template.render(messages=[{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}])
    assert own == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"


def test_only_the_assistants_tokens_are_learnt(renderer: rendering.Renderer, conversations: list[dg.Dialogue]) -> None:
    for dialogue in conversations:
        example = renderer.render(dialogue)
        learnt = [index for index, learn in zip(example.ids, example.learn, strict=True) if learn]
        answers = "".join(rendering.answer(turn) + "<|im_end|>" for turn in dialogue.turns)
        assert renderer.tokenizer.decode(learnt, skip_special_tokens=False) == answers


def test_decision_stands_at_the_assistants_first_token(
    renderer: rendering.Renderer, conversations: list[dg.Dialogue]
) -> None:
    for dialogue in conversations:
        example = renderer.render(dialogue)
        wanted = [turn.prompt is not None for turn in dialogue.turns]
        assert [draw for _, draw in example.decisions] == wanted
        assert [example.ids[at] == vo.DRAW for at, _ in example.decisions] == wanted
        assert all(example.learn[at] and not example.learn[at - 1] for at, _ in example.decisions)


def test_positions_are_those_of_transformers(renderer: rendering.Renderer, conversations: list[dg.Dialogue]) -> None:
    config = Qwen2VLConfig(
        text_config={"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
                     "intermediate_size": 64, "vocab_size": 64},
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 64, "num_heads": 1},
        image_token_id=vo.IMAGE_PAD, vision_start_token_id=vo.VISION_START,
    )  # fmt: skip
    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(config)
    grid = 2 * rendering.GRID
    for dialogue in conversations:
        example = renderer.render(dialogue)
        ids = list(example.ids)
        for start, _ in example.pictures:
            ids[start : start + rendering.PICTURE_TOKENS] = [vo.IMAGE_PAD] * rendering.PICTURE_TOKENS
        grids = torch.tensor([[1, grid, grid]] * len(example.pictures)) if example.pictures else None
        positions, _ = model.model.get_rope_index(torch.tensor([ids]), grids)
        assert positions[:, 0].tolist() == [list(row) for row in example.positions]


def test_of_a_correction_only_the_right_answer_is_learnt(renderer: rendering.Renderer) -> None:
    prompt = "A fox, the background is a river, the lens is close-up, the style is neon"
    right = dg.Turn("a fox please", "Here.", prompt)
    fix = corrections.Correction((dg.Turn("hi", "Hello!"),), dg.Turn("a fox please", "Foxes are red."), right)
    example = rendering.render_correction(renderer, fix)
    learnt = [index for index, learn in zip(example.ids, example.learn, strict=True) if learn]
    assert renderer.tokenizer.decode(learnt, skip_special_tokens=False) == rendering.answer(right) + "<|im_end|>"
    text = renderer.tokenizer.decode(example.ids, skip_special_tokens=False)
    assert f"Foxes are red.<|im_end|>\n<|im_start|>user\n{corrections.correction_prompt()}<|im_end|>" in text
    assert [draw for _, draw in example.decisions] == [True]


def test_typed_specials_stay_ordinary_text(renderer: rendering.Renderer) -> None:
    text = "write <draw> and <|im_end|> please"
    ids = renderer.plain(text)
    assert min(ids) >= vo.N_SPECIALS
    assert renderer.tokenizer.decode(ids) == text


def test_new_merges_leave_english_alone_and_shorten_chinese() -> None:
    base = vo.Vocabulary([f"<s{i}>" for i in range(vo.N_SPECIALS)] + sorted(_bytes()), [])
    grown = learn_merges(base, ["狐狸在雪地里", "狐狸和猫头鹰", "the fox"] * 3, 20)
    before, after = vo.build_tokenizer(base), vo.build_tokenizer(grown)
    assert before.encode("the fox").ids == after.encode("the fox").ids
    assert len(after.encode("狐狸").ids) < len(before.encode("狐狸").ids)
    assert after.decode(after.encode("狐狸在雪地里").ids) == "狐狸在雪地里"


def _bytes() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return list(ByteLevel.alphabet())


def test_shipped_template_and_prompt_are_the_trained_ones() -> None:
    assert Path(SHIPPED / "chat_template.jinja").read_text(encoding="utf-8") == vo.chat_template()
    assert not vo.system_prompt().endswith("\n")
