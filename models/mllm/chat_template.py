"""Renders a conversation with the model's own chat template, byte for byte as transformers does.

The result keeps apart what the template wrote and what a person or a model wrote, so that only the former can become
control tokens. Knows neither tokens nor llama.cpp.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.contracts import BadModelError, ImageRef, Message

log = logging.getLogger(__name__)

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For files without a template of their own."""

PICTURE_MARKERS = (
    "<|vision_start|><|image_pad|><|vision_end|>",  # Qwen2-VL, 2.5-VL, 3-VL
    "<start_of_image>",  # Gemma 3
    "<|image|>",
    "<image>",  # LLaVA, SmolVLM
    "[IMG]",  # Pixtral
)
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_PICTURE = f"{_OPEN}picture{_CLOSE}"


@dataclass(frozen=True)
class TemplateText:
    """Written by the template: special tokens in it are meant."""

    text: str


@dataclass(frozen=True)
class Content:
    """Text of a message. A user's text is never searched for special tokens."""

    text: str
    role: str


@dataclass(frozen=True)
class Picture:
    """A picture's place in the prompt."""

    ref: ImageRef


Part = TemplateText | Content | Picture


class ChatTemplate:
    """A compiled chat template. `specials` are the names transformers passes (bos_token, eos_token…)."""

    def __init__(self, source: str, specials: dict[str, str]) -> None:
        """Raises BadModelError if the template is not valid Jinja."""
        self._specials = specials
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise BadModelError(f"The model's chat template is damaged ({error}); choose another model file.") from None

    def render(self, messages: Sequence[Message]) -> str:
        """The whole prompt as one string, picture markers as the template writes them."""
        return "".join(
            part.text for part in self._laid_out(messages, keep_markers=True) if not isinstance(part, Picture)
        )

    def parts(self, messages: Sequence[Message]) -> list[Part]:
        """The prompt in order, ending where the answer begins.

        Raises BadModelError if the template refuses the conversation or leaves messages out.
        """
        return self._laid_out(messages, keep_markers=False)

    def _laid_out(self, messages: Sequence[Message], keep_markers: bool) -> list[Part]:
        skeleton, chat = self._skeleton(messages)
        texts = self._as_written(messages, skeleton, chat)
        refs = [ref for message in messages for ref in message.images]
        marker = _marker_of(skeleton, len(refs))
        parts: list[Part] = []
        for piece in skeleton.split(_OPEN):
            inside, closed, after = piece.partition(_CLOSE)
            if closed and inside == "picture":
                parts.append(Picture(refs.pop(0)))
            elif closed:
                parts.append(Content(texts[int(inside)], messages[int(inside)].role))
            else:
                after = inside
            parts += [TemplateText(after)] if keep_markers or not marker else _with_pictures(after, marker, refs)
        return [part for part in parts if isinstance(part, Picture) or part.text]

    def _skeleton(self, messages: Sequence[Message]) -> tuple[str, "_Chat"]:
        """The rendered template with a placeholder for each text; tries the ways templates want a chat handed over."""
        places = [f"{_OPEN}{i}{_CLOSE}" if m.text else "" for i, m in enumerate(messages)]
        problem = ""
        for fold in (False, True):
            for style in ("plain", "listed", "inline"):
                chat = _Chat(messages, style, fold)
                try:
                    text = self._render(chat.dicts(places))
                except jinja2.TemplateError as error:
                    problem = problem or str(error)
                    continue
                if _complete(text, places, sum(len(m.images) for m in messages)):
                    return text, chat
        raise BadModelError(
            f"The model's chat template cannot hold this conversation ({problem or 'messages are left out'}); "
            "choose another model."
        )

    def _as_written(self, messages: Sequence[Message], skeleton: str, chat: "_Chat") -> list[str]:
        """The texts as the template would have written them: some templates trim what they are given."""
        plain = [m.text for m in messages]
        try:
            wanted = self._render(chat.dicts(plain))
        except jinja2.TemplateError:
            return plain
        for texts in (plain, [t.strip() for t in plain]):
            if _fill(skeleton, texts) == wanted:
                return texts
        log.debug("the chat template rewrites messages in a way that cannot be followed; they are kept as they are")
        return plain

    def _render(self, messages: list[dict[str, Any]]) -> str:
        # A reply that begins with thoughts has no decision position; templates without the switch ignore it.
        return self._template.render(
            messages=messages, tools=None, documents=None, add_generation_prompt=True, enable_thinking=False,
            **self._specials,
        )  # fmt: skip


@dataclass(frozen=True)
class _Chat:
    """A way of handing messages to a template.

    style "plain": text as a string, pictures as a list of items; "listed": always a list; "inline": a string, pictures
    as placeholders in it (for templates that know no pictures). fold: the system part goes in front of the first user
    message (for templates that refuse a system role).
    """

    messages: Sequence[Message]
    style: str
    fold: bool

    def dicts(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        rows = [(m.role, text, len(m.images)) for m, text in zip(self.messages, texts, strict=True)]
        if self.fold and len(rows) > 1 and rows[0][0] == "system":
            system, user = rows[0], rows[1]
            rows[:2] = [(user[0], f"{system[1]}\n\n{user[1]}", user[2])]
        return [{"role": role, "content": self._content(text, pictures)} for role, text, pictures in rows]

    def _content(self, text: str, pictures: int) -> str | list[dict[str, str]]:
        if self.style == "inline":
            return _PICTURE * pictures + text
        if self.style == "plain" and not pictures:
            return text
        return [{"type": "image"}] * pictures + [{"type": "text", "text": text}]


def _environment() -> ImmutableSandboxedEnvironment:
    """As transformers 4.57 sets it up (`_compile_jinja_template`)."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks the assistant's words for training; here its body is rendered as it is."""

    tags = {"generation"}

    def parse(self, parser: Any) -> list[Any]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _complete(text: str, places: Sequence[str], pictures: int) -> bool:
    """Whether every text has its place, once and in order, and every picture a marker."""
    at = 0
    for place in filter(None, places):
        found = text.find(place, at)
        if found < 0 or text.count(place) != 1:
            return False
        at = found + len(place)
    return not pictures or text.count(_PICTURE) == pictures or bool(_marker_of(text, pictures))


def _marker_of(text: str, pictures: int) -> str:
    """The picture marker this template writes, "" if there are no pictures or they have placeholders."""
    return next((m for m in PICTURE_MARKERS if pictures and text.count(m) == pictures), "")


def _with_pictures(text: str, marker: str, refs: list[ImageRef]) -> list[Part]:
    first, *others = text.split(marker)
    parts: list[Part] = [TemplateText(first)]
    for other in others:
        parts += [Picture(refs.pop(0)), TemplateText(other)]
    return parts


def _fill(skeleton: str, texts: Sequence[str]) -> str:
    for i, text in enumerate(texts):
        skeleton = skeleton.replace(f"{_OPEN}{i}{_CLOSE}", text, 1)
    return skeleton
