"""NExT-GPT: a caption, then the signal tokens `[IMG0] [IMG1] [IMG2] [IMG3]`. Knows no sampling.

The project's decoder takes the signals' hidden states; its outputs give the words since the last signals as the
caption (`generate_images`). Limner has no such decoder: those words are the prompt, and they stay visible, as they
are in the project's demo. The i in `[IMGi]` counts the tokens of *one* picture (`[IMG0]` asks, the rest follow), so it
is no picture number; a run that does not count on begins another picture. A run without words before it takes the
caption of the picture before, or stays empty, and the turn falls back to the user's words (a recorded step).
The 2024 release spells the signals `<image_00>`…; video and audio signals are dropped.
"""

from models.contracts import Decision
from models.protocols.parsing import Grammar, Mark, Tag, numbered, square
from models.protocols.tagged import TagProtocol

SIGNALS = "[IMG0] [IMG1] [IMG2] [IMG3]"
"""As the 7B release writes them (four signal tokens for a picture)."""
TAGS = (
    Tag(Mark.SIGNAL, square("IMG")),
    Tag(Mark.SIGNAL, numbered("image")),
    *(Tag(Mark.DROP, square(name)) for name in ("VID", "AUD")),
    *(Tag(Mark.DROP, numbered(name)) for name in ("video", "audio")),
)


class NextGpt(TagProtocol):
    """No system part; "###" ends a turn, as in the project's template."""

    name = "next_gpt"
    decision = Decision(openers=("[IMG0]", "<image_00>"), forbidden=("[IMG", "<image_"))
    stop = ("###",)
    grammar = Grammar(TAGS, keep_empty=True)

    def spell(self, say: str, prompts: tuple[str, ...]) -> str:
        """Each caption with its signals, then the words."""
        return "\n".join([*(f"{prompt} {SIGNALS}" for prompt in prompts), say]).strip()
