"""The spellings of "words or picture": DialogGen, Mini-DALLE3, SEED-LLaMA, NExT-GPT. Finds them by name."""

from models.contracts import BadModelError
from models.protocols import dialoggen, mini_dalle3, next_gpt, seed_llama
from models.protocols.base import ModelProtocol
from models.protocols.parsing import Grammar
from models.protocols.tagged import TagProtocol

_CLASSES: tuple[type[TagProtocol], ...] = (
    dialoggen.DialogGen,
    mini_dalle3.MiniDalle3,
    seed_llama.SeedLlama,
    next_gpt.NextGpt,
)
PROTOCOLS: tuple[str, ...] = tuple(cls.name for cls in _CLASSES)
"""The names a model's manifest may give as its protocol."""

EVERY_TAG = Grammar(dialoggen.TAGS + mini_dalle3.TAGS + seed_llama.TAGS + next_gpt.TAGS, keep_empty=True)
"""All protocols' tags at once: reads a past turn whoever wrote it."""


def get_protocol(name: str) -> ModelProtocol:
    """The protocol of that name. Raises BadModelError for a name we do not know."""
    for cls in _CLASSES:
        if cls.name == name:
            return cls(EVERY_TAG)
    known = ", ".join(PROTOCOLS)
    raise BadModelError(f'This model asks for the protocol "{name}", which is unknown; choose one of: {known}.')
