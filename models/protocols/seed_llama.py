"""SEED-LLaMA: a picture is `<img>`, 32 code tokens `<img_00000>`…`<img_08191>`, `</img>`. Knows no sampling.

The codes are the picture itself, for SEED's own de-tokenizer (unCLIP), which Limner does not have: a text-to-image
painter cannot read them. What is kept of such a reply is *that* it draws and *where*; the prompt is the words inside
the tag if a fine-tune writes any, else the words before it, else it stays empty and the turn falls back to the user's
words (a recorded step). Pictures painted that way do not show what the codes held. Pictures in go through an mmproj,
if the GGUF has one, not through SEED's codes. "Force image" of the project's demo is modality IMAGE: `<img>` first.
"""

from models.contracts import Decision
from models.protocols.parsing import Grammar, Mark, Tag, bracket, numbered
from models.protocols.tagged import TagProtocol

TAGS = (
    Tag(Mark.OPEN, bracket("img")),
    Tag(Mark.CLOSE, bracket("img", closing=True)),
    Tag(Mark.CODE, numbered("img")),
)


class SeedLlama(TagProtocol):
    """No system part: the released models were tuned without one."""

    name = "seed_llama"
    decision = Decision(openers=("<img>",), forbidden=("<img",))
    grammar = Grammar(TAGS, keep_empty=True)

    def spell(self, say: str, prompts: tuple[str, ...]) -> str:
        """The words, then an `<img>` for each picture with its prompt in place of the codes that are not there."""
        return " ".join([say, *(f"<img>{prompt}</img>" for prompt in prompts)]).strip()
