"""Mini-DALLE3 (§4.1): an untuned chat model is shown by examples to write `<image> … </image>`. Knows no sampling.

`<edit> … </edit>` asks for a change of the picture before. Tags stand anywhere in the text, several in one reply (a
story); the project's third prompt adds `id="…" prev_id="…"`, closes `<edit>` with `</image>`, and has `<variation>`,
`<select>` and `<refine>`, whose body is the number of a picture. Our own prompts teach `<image>` and `<edit>` alone;
the other three are read: with words inside they are an edit, with a bare number nothing is drawn.

P(draw) is read at the start of the reply. A model that says "Sure, here it is:" before the tag has decided to draw and
still shows a small value there: for this protocol P(draw) is a lower bound.
"""

import re

from models.contracts import Decision, TurnRequest
from models.protocols.parsing import Grammar, Mark, Tag, bracket
from models.protocols.tagged import TagProtocol, prompt_text

_PREVIOUS = r"prev_id\s*=\s*[\"']?([0-9]{1,6})"
_REFERRING = ("variation", "select", "refine")
TAGS = (
    Tag(Mark.OPEN, bracket("image", attributes=True)),
    Tag(Mark.OPEN, bracket("edit", attributes=True), action="edit", number=_PREVIOUS),
    *(Tag(Mark.OPEN, bracket(name, attributes=True), action="refer") for name in _REFERRING),
    *(Tag(Mark.CLOSE, bracket(name, closing=True)) for name in ("image", "edit", *_REFERRING)),
)


class MiniDalle3(TagProtocol):
    """Few-shot prompting, in the language the conversation began in."""

    name = "mini_dalle3"
    decision = Decision(
        openers=("<image>", "<edit>"),
        forbidden=("<image", "<edit", "<variation", "<select", "<refine"),
    )
    grammar = Grammar(TAGS)

    def system(self, request: TurnRequest) -> str:
        """The few-shot prompt. Chosen by the first message, so that it stays the same to the end."""
        first = request.history[0].text if request.history else request.text
        language = "zh" if re.search(r"[\u3400-\u9fff]", first) else "en"
        return prompt_text("mini_dalle3", f"{language}.txt").strip()

    def spell(self, say: str, prompts: tuple[str, ...]) -> str:
        """The words, then `<image> PROMPT </image>` for each picture."""
        return " ".join([say, *(f"<image> {prompt} </image>" for prompt in prompts)]).strip()
