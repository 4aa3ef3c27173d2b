"""Turns a drawing request into a GenerationSpec, one recorded step after the other.

Nothing reaches the painter that is not in a step. Knows the painter's limits (T2IInfo) and how it measures a prompt;
knows neither pipelines nor how text is generated (translation is a function that is handed in).
"""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from models.consistency import Situation, choose, compare
from models.contracts import (
    SEED_MAX,
    AdapterStep,
    BadInputError,
    DrawSegment,
    GenerationSpec,
    PaintOverrides,
    PastTurn,
    PromptTokens,
    T2IInfo,
    TurnRequest,
)
from models.seeds import check_seed, slot_seed

MAX_PROMPT_CHARS = 2_000
"""What is read of a prompt before anything else happens: far more than any text encoder takes, and a prompt of
megabytes costs nothing."""
MAX_STEPS = 1_000
MAX_GUIDANCE = 100.0
FOREIGN_SHARE = 0.2
"""Share of letters in a script the painter cannot read from which on a prompt is translated."""

Number = TypeVar("Number", int, float)
Measure = Callable[[str], PromptTokens]
Translate = Callable[[str, str, str], str]
"""(text, language it is in, language wanted) → the translation."""


@dataclass(frozen=True)
class Adapted:
    """A spec ready to be painted, how it came about, and its prompt in the text encoder's tokens."""

    spec: GenerationSpec
    steps: tuple[AdapterStep, ...]
    tokens: PromptTokens


class _Steps(list[AdapterStep]):
    def note(self, name: str, before: str, after: str, why: str = "") -> str:
        """Record a rewrite and pass its result on."""
        self.append(AdapterStep(name, before, after, why))
        return after


def adapt(
    segment: DrawSegment,
    request: TurnRequest,
    info: T2IInfo,
    measure: Measure,
    *,
    slot: int = 0,
    translate: Translate | None = None,
) -> Adapted:
    """The spec of picture number `slot` of a turn.

    Steps in order: as written, (tidy,) (your words,) (translate,) (size,) settings, consistency, seed, truncate. Those
    in brackets are there only when something happened. Raises BadInputError for a size, seed or setting the painter
    cannot do, with the nearest it can.
    """
    steps = _Steps()
    prompt = _prompt(segment, request, steps)
    prompt = _readable(prompt, info, translate, steps)
    spec = _settings(prompt, request.overrides, info, steps)
    spec = _consistency(spec, request, slot, steps)
    spec = _seed(spec, request.seed, slot, steps)
    tokens = measure(spec.prompt)
    _truncate(spec.prompt, tokens, steps)
    return Adapted(spec, tuple(steps), tokens)


# ---------------------------------------------------------------- prompt
def _prompt(segment: DrawSegment, request: TurnRequest, steps: _Steps) -> str:
    written = steps.note("as written", "", *_bounded(segment.prompt))
    prompt = tidy(written)
    if prompt and prompt == written:
        return prompt
    if prompt:
        return steps.note("tidy", written, prompt, "spaces, control characters and marks around the prompt")
    words = tidy(_bounded(request.text.strip())[0])
    if not words:
        raise BadInputError("There is nothing to draw yet: say in words what the picture should show.")
    return steps.note("your words", written, words, "the director wrote no prompt, so your own words are used")


def _bounded(text: str) -> tuple[str, str]:
    """The first MAX_PROMPT_CHARS of a text, and a sentence if more was there."""
    if len(text) <= MAX_PROMPT_CHARS:
        return text, ""
    return text[:MAX_PROMPT_CHARS], f"only the first {MAX_PROMPT_CHARS:,} of {len(text):,} characters are read"


_KEPT_FORMATS = "\u200c\u200d"
"""Joiners that scripts and emoji are written with; every other invisible format character goes."""
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "«": "»", "`": "`"}
_TRAILING = re.compile(r"[\s,，;；:：、.。]+\Z")


def tidy(prompt: str) -> str:
    """One line: no control characters, single spaces, no quotes around it, no comma or full stop at its end."""
    text = "".join(c if _visible(c) else " " if c.isspace() else "" for c in prompt)
    text = " ".join(text.split())
    text = _TRAILING.sub("", text)
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = _TRAILING.sub("", text[1:-1].strip())
    return text


def _visible(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or char in _KEPT_FORMATS


# ---------------------------------------------------------------- language
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")),
    ("ko", re.compile(r"[\u1100-\u11ff\uac00-\ud7af]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
LANGUAGE_NAMES = {
    "en": "English", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ru": "Russian",
    "el": "Greek", "ar": "Arabic", "he": "Hebrew", "hi": "Hindi", "th": "Thai",
}  # fmt: skip


def language(text: str) -> str:
    """The language of a text as far as its script tells; "en" stands for every language in Latin letters.

    Kana among Chinese characters mean Japanese. A script counts from FOREIGN_SHARE of the letters on.
    """
    letters = sum(c.isalpha() for c in text)
    counts = {code: len(pattern.findall(text)) for code, pattern in _SCRIPTS}
    if counts["ja"] and counts["ja"] + counts["zh"] >= FOREIGN_SHARE * letters:
        return "ja"
    code = max(counts, key=lambda c: counts[c])
    return code if counts[code] and counts[code] >= FOREIGN_SHARE * letters else "en"


def _readable(prompt: str, info: T2IInfo, translate: Translate | None, steps: _Steps) -> str:
    spoken, readable = language(prompt), info.languages
    if not readable or spoken in readable or (spoken == "en" and any(c not in dict(_SCRIPTS) for c in readable)):
        return prompt
    target = readable[0]
    names = f"{LANGUAGE_NAMES.get(spoken, spoken)} → {LANGUAGE_NAMES.get(target, target)}"
    if translate is None:
        return steps.note("translate", prompt, prompt, f"{names}: no translator here; the painter may not understand")
    translated = tidy(_bounded(translate(prompt, spoken, target))[0])
    if not translated or language(translated) != target:
        return steps.note("translate", prompt, prompt, f"{names}: the director gave no translation; left as it is")
    return steps.note("translate", prompt, translated, f"{names}, by the director: the painter reads no other")


# ---------------------------------------------------------------- settings
_SETTINGS = ("width", "height", "steps", "guidance_scale", "scheduler", "negative_prompt")


def _settings(prompt: str, asked: PaintOverrides, info: T2IInfo, steps: _Steps) -> GenerationSpec:
    width, height = _size(asked, info, steps)
    negative = info.negative_prompt if asked.negative_prompt is None else asked.negative_prompt
    spec = GenerationSpec(
        prompt=prompt,
        seed=0,
        width=width,
        height=height,
        steps=_within("number of steps", asked.steps, info.steps, 1, MAX_STEPS),
        guidance_scale=_within("guidance scale", asked.guidance_scale, info.guidance_scale, 0.0, MAX_GUIDANCE),
        scheduler=_scheduler(asked.scheduler, info),
        negative_prompt=tidy(_bounded(negative)[0]),
        model=info.model,
        backend=info.backend,
        device=info.device,
        dtype=info.dtype,
    )
    chosen = [name for name in _SETTINGS if getattr(asked, name) is not None]
    why = f"set by you: {', '.join(chosen)}" if chosen else f"the defaults of {info.model.name}"
    steps.note("settings", _spelled(asked), _spelled(spec), why)
    return spec


def _spelled(source: PaintOverrides | GenerationSpec) -> str:
    """Settings on one line, only those that are set."""
    size = f"{source.width or '?'}×{source.height or '?'}" if source.width or source.height else ""
    parts = (
        size,
        f"{source.steps} steps" if source.steps is not None else "",
        f"guidance scale {source.guidance_scale:g}" if source.guidance_scale is not None else "",
        source.scheduler or "",
        f"not: {source.negative_prompt}" if source.negative_prompt else "",
    )
    return ", ".join(part for part in parts if part)


def _within(name: str, asked: Number | None, default: Number, low: Number, high: Number) -> Number:
    value = default if asked is None else asked
    if isinstance(value, bool) or not math.isfinite(value) or not low <= value <= high:
        raise BadInputError(f"A {name} of {value:g} is not possible: choose one from {low:g} to {high:g}.")
    return value


def _scheduler(asked: str | None, info: T2IInfo) -> str:
    if asked is None or asked in info.schedulers:
        return asked or info.scheduler
    known = ", ".join(info.schedulers)
    raise BadInputError(f'{info.model.name} has no scheduler "{asked[:40]}": choose one of {known}.')


def _size(asked: PaintOverrides, info: T2IInfo, steps: _Steps) -> tuple[int, int]:
    """The size asked for, each side on the nearest multiple the painter can do; BadInputError outside its range."""
    width = info.width if asked.width is None else asked.width
    height = info.height if asked.height is None else asked.height
    near = _nearest(width, info), _nearest(height, info)
    if not all(info.size_min <= side <= info.size_max for side in (width, height)):
        raise BadInputError(
            f"{info.model.name} cannot paint {width}×{height}: its pictures are {info.size_min} to {info.size_max} "
            f"pixels a side; the nearest it can do is {near[0]}×{near[1]}."
        )
    if near != (width, height):
        why = f"sides must be multiples of {info.size_multiple}"
        steps.note("size", f"{width}×{height}", f"{near[0]}×{near[1]}", why)
    return near


def _nearest(side: int, info: T2IInfo) -> int:
    unit = max(1, info.size_multiple)
    low, high = -(-info.size_min // unit), info.size_max // unit
    return unit * min(max(round(side / unit) if side.bit_length() < 64 else high, low), high)


# ---------------------------------------------------------------- seed, consistency, length
def _previous(request: TurnRequest) -> PastTurn | None:
    return next((turn for turn in reversed(request.history) if turn.prompts), None)


def _consistency(spec: GenerationSpec, request: TurnRequest, slot: int, steps: _Steps) -> GenerationSpec:
    """Compared with the picture of the same slot in the turn that drew last: it was painted with the same seed."""
    previous = _previous(request)
    if previous is None:
        situation, before = Situation(None, False), ""
    else:
        older = [prompt for turn in request.history for prompt in turn.prompts]
        before = previous.prompts[min(slot, len(previous.prompts) - 1)]
        same_seed = previous.seed == request.seed and slot < len(previous.prompts)
        situation = Situation(compare(before, spec.prompt, older), same_seed)
    choice = choose(situation)
    steps.note("consistency", before, choice.method, choice.why)
    return dataclasses.replace(spec, consistency=choice.method)


def _seed(spec: GenerationSpec, seed: int, slot: int, steps: _Steps) -> GenerationSpec:
    check_seed(seed)
    own = slot_seed(seed, slot)
    why = "the seed of this turn" if slot == 0 else f"picture {slot + 1} of this turn: the turn's seed + {slot}"
    if own < seed:
        why += f", counted on from {SEED_MAX} to 0"
    steps.note("seed", str(seed), str(own), why)
    return dataclasses.replace(spec, seed=own)


def _truncate(prompt: str, tokens: PromptTokens, steps: _Steps) -> None:
    """Say what the text encoder will not read. The spec keeps the whole prompt: painter and inspector cut it alike."""
    if tokens.dropped:
        total = len(tokens.kept) + len(tokens.dropped)
        why = f"{len(tokens.dropped)} of {total} tokens do not fit: the text encoder reads {tokens.limit}"
    else:
        why = f"all of it fits: the text encoder reads {tokens.limit} tokens"
    steps.note("truncate", prompt, _kept_text(prompt, tokens), why)


def _kept_text(prompt: str, tokens: PromptTokens) -> str:
    """The beginning of the prompt that the kept tokens stand for; pieces may differ from it in spaces and case."""
    if not tokens.dropped:
        return prompt
    at = 0
    for char in "".join("".join(tokens.kept).split()):
        while at < len(prompt) and prompt[at].isspace():
            at += 1
        if at >= len(prompt) or prompt[at].casefold() != char.casefold():
            return "".join(tokens.kept)
        at += 1
    return prompt[:at]
