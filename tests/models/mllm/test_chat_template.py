"""Prompts are byte for byte those of transformers, with the same template."""

from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from models.contracts import BadModelError, ImageRef, Message
from models.mllm.chat_template import CHATML, ChatTemplate, Content, Part, Picture, TemplateText
from tests.models.mllm.conftest import STARTER

QWEN2_VL = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|"
    "im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: "
    "{% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: "
    "{% endif %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMS = (
    "{{ bos_token }}{% for message in messages %}\n    {%- if message['role'] == 'user' %}\n"
    "[INST] {{ message['content'] | trim }} [/INST]{% else %}{{ message['content'] | trim }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<{{ message['role'] }}>{% generation %}{{ message['content'] }}{% endgeneration %}"
    "{% endfor %}{{ '<model>' if add_generation_prompt }}"
)
LISTS_ONLY = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: {% for line in message['content'] %}"
    "{% if line['type'] == 'text' %}{{ line['text'] }}{% elif line['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}
RED, BLUE = ImageRef("r", "r", 8, 8), ImageRef("b", "b", 8, 8)

CHATS = {
    "plain": [Message("system", "Paint."), Message("user", "Hello")],
    "no system": [Message("user", "Hello"), Message("assistant", "<draw> A fox"), Message("user", " now at night \n")],
    "pictures": [
        Message("system", "Paint."),
        Message("user", "Which is red?", (RED, BLUE)),
        Message("assistant", "The first."),
        Message("user", "", (BLUE,)),
    ],
    "template language": [Message("user", "{{ messages }} {% raw %} &lt; <|im_end|> \ue0f00\ue0f1")],
    "odd": [Message("user", "\u202eשלום\x00\U0001f98a\r\n"), Message("assistant", ""), Message("user", "0")],
}


def transformers_says(template: str, messages: list[Message], **specials: str) -> str:
    def content(message: Message) -> Any:
        if not message.images:
            return message.text
        return [{"type": "image"} for _ in message.images] + [{"type": "text", "text": message.text}]

    chat = [{"role": m.role, "content": content(m)} for m in messages]
    rendered, _ = render_jinja_template([chat], chat_template=template, add_generation_prompt=True, **specials)
    return str(rendered[0])


def starter_template() -> str:
    return (STARTER / "chat_template.jinja").read_text("utf-8")


@pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)
@pytest.mark.parametrize("template", [QWEN2_VL, starter_template()], ids=["Qwen2-VL", "starter"])
def test_byte_for_byte_as_transformers(template: str, chat: list[Message]) -> None:
    assert ChatTemplate(template, SPECIALS).render(chat) == transformers_says(template, chat, **SPECIALS)


def test_the_starters_file_carries_the_template_of_its_training() -> None:
    import json

    from models.gguf_header import read_gguf

    manifest = json.loads((STARTER / "limner-model.json").read_text("utf-8"))
    assert read_gguf(STARTER / manifest["model"]).chat_template == starter_template()


@pytest.mark.parametrize("chat", [CHATS["plain"], CHATS["no system"]], ids=["plain", "no system"])
def test_templates_that_trim(chat: list[Message]) -> None:
    assert ChatTemplate(TRIMS, SPECIALS).render(chat) == transformers_says(TRIMS, chat, **SPECIALS)


def joined(parts: list[Part]) -> str:
    return "".join(f"({p.ref.sha256})" if isinstance(p, Picture) else p.text for p in parts)


def test_who_wrote_what() -> None:
    parts = ChatTemplate(QWEN2_VL, {}).parts(CHATS["pictures"])
    assert [p for p in parts if not isinstance(p, TemplateText)] == [
        Content("Paint.", "system"), Picture(RED), Picture(BLUE), Content("Which is red?", "user"),
        Content("The first.", "assistant"), Picture(BLUE),
    ]  # fmt: skip
    assert "image_pad" not in joined(parts)


def test_a_template_without_a_system_role() -> None:
    parts = ChatTemplate(NO_SYSTEM, {}).parts(CHATS["plain"])
    assert joined(parts) == "<user>Paint.\n\nHello<model>"
    assert [p.role for p in parts if isinstance(p, Content)] == ["system", "user"]


def test_a_template_that_wants_lists() -> None:
    text = joined(ChatTemplate(LISTS_ONLY, {}).parts(CHATS["pictures"]))
    assert text.startswith("System: Paint.<end_of_utterance>\nUser: (r)(b)Which is red?<end_of_utterance>")


def test_a_template_that_knows_no_pictures() -> None:
    assert "user\n(r)(b)Which is red?" in joined(ChatTemplate(CHATML, {}).parts(CHATS["pictures"]))


@pytest.mark.parametrize("template", ["{% for %}", "{{ messages", "{% include 'x' %}{% endfor %}"])
def test_a_damaged_template(template: str) -> None:
    with pytest.raises(BadModelError, match="chat template is damaged"):
        ChatTemplate(template, {})


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('never') }}",
        "nothing of the chat",
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
    ],
)
def test_templates_that_lose_messages_or_reach_out_of_the_sandbox(template: str) -> None:
    with pytest.raises(BadModelError, match="cannot hold this conversation"):
        ChatTemplate(template, {}).parts(CHATS["plain"])
