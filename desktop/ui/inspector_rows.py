"""What the inspector says about a turn: headings and values, in the order of the turn itself. Knows no widget.

Works from a record of the store, so that what is shown is what was kept.
"""

from dataclasses import dataclass, field

from desktop.store.records import PictureRecord, TurnRecord
from desktop.ui.engine_words import engine_words
from desktop.ui.words import tr
from models.contracts import AdapterStep, GenerationSpec, MllmPass, ModelRef, PromptTokens, TextSegment, Timings

DECISION = 0.5
"""Where greedy decoding changes its mind."""


@dataclass(frozen=True)
class Value:
    """One value: `name` may be empty. kind: "text" | "code" | "muted"."""

    text: str
    name: str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Probability:
    """P(draw), 0..1, and what came of it."""

    p: float
    verdict: str
    name: str = "P(draw)"


@dataclass(frozen=True)
class Prompt:
    """The prompt that was sent, split where the text encoder cut it."""

    kept: str
    dropped: str


Line = Value | Probability | Prompt


@dataclass
class Section:
    """A heading and what stands under it."""

    heading: str
    lines: list[Line] = field(default_factory=list)

    def text(self) -> str:
        """For the clipboard."""
        return "\n".join([self.heading, *("  " + line_text(line) for line in self.lines)])


def line_text(line: Line) -> str:
    """A line as plain text."""
    if isinstance(line, Probability):
        return f"{line.name}: {line.p:.4f} ({line.verdict})"
    if isinstance(line, Prompt):
        return line.kept + (f" [{tr('left out')}: {line.dropped}]" if line.dropped else "")
    return f"{line.name}: {line.text}" if line.name else line.text


def sections(turn: TurnRecord, picture: PictureRecord | None) -> list[Section]:
    """Everything known about a turn, and about one of its pictures."""
    found = [_said(turn)]
    if turn.passes or turn.reply:
        found += [_wrote(turn), _understood(turn)]
    if picture:
        found += [
            _rewritten(picture.steps),
            _prompt(picture.spec, picture.tokens),
            _painted(picture.spec),
            _picture(picture),
        ]
    if turn.mllm or turn.t2i:
        found.append(_models(turn))
    if turn.passes:
        found.append(_timings(turn.timings, turn.passes, picture))
    return found


def _said(turn: TurnRecord) -> Section:
    section = Section(tr("You said"), [Value(turn.text)] if turn.text else [])
    for image in turn.images:
        size = f"{image.width} × {image.height} px"
        section.lines.append(Value(f"{size}, sha256 {image.sha256}", tr("attached picture"), "code"))
    asked = {"auto": tr("auto"), "text": tr("words"), "image": tr("picture")}[str(turn.modality)]
    section.lines.append(Value(asked, tr("asked for")))
    if turn.error:
        section.lines.append(Value(engine_words(turn.error), tr("error")))
    return section


def _wrote(turn: TurnRecord) -> Section:
    section = Section(tr("The director wrote"))
    roles = {"answer": "", "correction": tr("read over"), "translation": tr("translation")}
    for one in turn.passes:
        section.lines.append(Value(one.raw, roles.get(one.role, one.role), "code"))
    if not turn.passes and turn.reply:
        section.lines.append(Value(turn.reply.raw, "", "code"))
    if turn.p_draw is not None:
        section.lines.append(Probability(turn.p_draw, _verdict(turn)))
    left = sorted({i + 1 for one in turn.passes for i in one.dropped_turns})
    if left:
        words = tr("turns {numbers}: the context was full").format(numbers=", ".join(map(str, left)))
        section.lines.append(Value(words, tr("left out")))
    return section


def _verdict(turn: TurnRecord) -> str:
    drew = bool(turn.reply and turn.reply.draws)
    if str(turn.modality) != "auto":
        return tr("you asked for a picture") if str(turn.modality) == "image" else tr("you asked for words")
    return tr("so it drew") if drew else tr("so it answered in words")


def _understood(turn: TurnRecord) -> Section:
    section = Section(tr("Understood as"))
    for segment in turn.reply.segments if turn.reply else ():
        if isinstance(segment, TextSegment):
            section.lines.append(Value(segment.text.strip(), tr("words")))
        else:
            name = tr("edit") if segment.action == "edit" else tr("draw")
            where = f" #{segment.index}" if segment.index is not None else ""
            section.lines.append(Value(segment.prompt, name + where))
    if turn.protocol:
        section.lines.append(Value(turn.protocol, tr("protocol")))
    return section


def _rewritten(steps: tuple[AdapterStep, ...]) -> Section:
    names = {
        "as written": tr("as written"), "tidy": tr("tidied"), "your words": tr("your words"),
        "translate": tr("translated"), "style": tr("style"), "size": tr("size"), "settings": tr("settings"),
        "consistency": tr("consistency"), "seed": tr("seed"), "truncate": tr("length"),
    }  # fmt: skip
    section = Section(tr("Rewritten"))
    for step in steps:
        section.lines.append(Value(step.after, names.get(step.name, step.name)))
        if step.why:
            section.lines.append(Value(engine_words(step.why), "", "muted"))
    return section


def _prompt(spec: GenerationSpec, tokens: PromptTokens) -> Section:
    kept, dropped = split_prompt(spec.prompt, tokens)
    count = tr("{kept} of at most {limit} tokens").format(kept=len(tokens.kept), limit=tokens.limit)
    if dropped:
        count += " · " + tr("{count} left out").format(count=len(tokens.dropped))
    return Section(tr("Prompt sent"), [Prompt(kept, dropped), Value(count, "", "muted")])


def split_prompt(prompt: str, tokens: PromptTokens) -> tuple[str, str]:
    """The prompt as (kept, dropped), its own spelling and spaces kept where the tokens' pieces rebuild it."""
    if not tokens.dropped:
        return prompt, ""
    count = sum(not c.isspace() for piece in tokens.kept for c in piece)
    for at, char in enumerate(prompt):
        if count == 0:
            return prompt[:at].rstrip(), prompt[at:].lstrip()
        count -= not char.isspace()
    return " ".join(tokens.kept), " ".join(tokens.dropped)


def _painted(spec: GenerationSpec) -> Section:
    rows = (
        (tr("seed"), str(spec.seed)),
        (tr("steps"), str(spec.steps)),
        (tr("guidance scale"), f"{spec.guidance_scale:g}"),
        (tr("scheduler"), spec.scheduler),
        (tr("size"), f"{spec.width} × {spec.height} px"),
        (tr("negative prompt"), spec.negative_prompt or "—"),
        (tr("strength"), f"{spec.strength:g}" if spec.init_image else "—"),
        (tr("consistency"), spec.consistency),
        (tr("backend"), spec.backend),
        (tr("device"), spec.device),
        (tr("dtype"), spec.dtype),
    )
    return Section(tr("Painted with"), [Value(text, name) for name, text in rows])


def _picture(picture: PictureRecord) -> Section:
    return Section(
        tr("Picture"),
        [
            Value(str(picture.number), tr("number")),
            Value(picture.sha256, "sha256", "code"),
            Value(picture.path, tr("file"), "code"),
        ],
    )


def _models(turn: TurnRecord) -> Section:
    section = Section(tr("Models"))
    for name, model in ((tr("director"), turn.mllm), (tr("painter"), turn.t2i)):
        if isinstance(model, ModelRef):
            section.lines.append(Value(model.name, name))
            section.lines.append(Value(model.sha256, "sha256", "code"))
    return section


def _timings(timings: Timings, passes: tuple[MllmPass, ...], picture: PictureRecord | None) -> Section:
    def seconds(value: float) -> str:
        return f"{value:.2f} s"

    rows = [
        (tr("first token"), seconds(timings.first_token_s)),
        (tr("director"), seconds(timings.mllm_s)),
        (tr("painter"), seconds(timings.t2i_s)),
        (tr("altogether"), seconds(timings.total_s)),
    ]
    if picture:
        rows.insert(3, (tr("this picture"), seconds(picture.seconds)))
    first = passes[0]
    read = tr("{count}, {reused} of them remembered").format(count=first.tokens_in, reused=first.tokens_reused)
    rows += [(tr("tokens read"), read), (tr("tokens written"), str(sum(p.tokens_out for p in passes)))]
    return Section(tr("Timings"), [Value(text, name) for name, text in rows])
