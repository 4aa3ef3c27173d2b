"""DialogGen (§5.2): a fine-tuned model begins a drawing reply with `<draw>`; words have no tag. Knows no sampling.

Ours write `<draw>PROMPT</draw>SAY`. The original models have no closer: an open `<draw>` makes the rest the prompt, up
to another tag. The released Chinese model writes `<画图>`, an equal opener (and `</画图>` an equal closer).
"""

from models.contracts import Decision, TurnRequest
from models.protocols.parsing import Grammar, Mark, Tag, bracket
from models.protocols.tagged import TagProtocol, prompt_text

TAGS = (
    Tag(Mark.OPEN, bracket("draw")),
    Tag(Mark.OPEN, bracket("画图")),
    Tag(Mark.CLOSE, bracket("draw", closing=True)),
    Tag(Mark.CLOSE, bracket("画图", closing=True)),
)


class DialogGen(TagProtocol):
    """Decision at the first token: `<draw>` or words."""

    name = "dialoggen"
    decision = Decision(openers=("<draw>", "<画图>"), forbidden=("<draw>", "<画图>", "</draw>", "</画图>"))
    grammar = Grammar(TAGS)

    def system(self, request: TurnRequest) -> str:
        """P_I = P_T of §5.2."""
        return prompt_text("dialoggen", "system.txt")

    def spell(self, say: str, prompts: tuple[str, ...]) -> str:
        """`<draw>PROMPT</draw>` for each picture, then the words."""
        return "".join(f"<draw>{prompt}</draw>" for prompt in prompts) + say
