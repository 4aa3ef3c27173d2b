"""From messages to the cells of the KV cache: template, tokens, pictures, and what leaves when the context is full.

Knows nothing of sampling or of what is in the cache.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from models.contracts import BadInputError, ImageRef, Message
from models.mllm.chat_template import ChatTemplate, Content, Part, Picture, TemplateText
from models.mllm.context import TurnSize, first_kept, latest_picture, without_turns
from models.mllm.vision import PicturePiece, Vision
from models.mllm.vocabulary import Vocabulary

Cell = int | PicturePiece
_PER_MESSAGE = 8
"""Tokens a template puts around a message, rounded up."""
_SPARE = 16
"""Cells kept free for trying out an opener."""
_REMEMBERED = 256
_PROBE = (
    Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "u"),
)  # fmt: skip


@dataclass(frozen=True)
class Prompt:
    """Cells in order, the pictures they show by sha256, and the turns that had to leave."""

    cells: tuple[Cell, ...]
    pictures: dict[str, ImageRef]
    dropped_turns: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Cells taken in the KV cache."""
        return sum(1 if isinstance(cell, int) else cell.tokens for cell in self.cells)


class PromptBuilder:
    """Turns conversations into prompts for one model."""

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        template: ChatTemplate,
        vision: Vision | None,
        n_ctx: int,
        why_blind: str,
    ) -> None:
        """`why_blind`: the sentence a user reads who shows a picture to a model without vision."""
        self._name, self._vocabulary, self._template = name, vocabulary, template
        self._vision, self._n_ctx, self._why_blind = vision, n_ctx, why_blind
        self._written: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._count = lru_cache(maxsize=2048)(lambda text: vocabulary.count(text, n_ctx))
        self.structural = self._structural()
        """Special tokens that build the chat (roles, ends, picture markers): never written by anybody in a message."""

    def remember(self, raw: str, tokens: Sequence[int]) -> None:
        """Keep the exact tokens of an answer, so that the next turn finds them in the KV cache."""
        self._written[raw] = tuple(tokens)
        self._written.move_to_end(raw)
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    def build(self, messages: Sequence[Message], max_tokens: int) -> Prompt:
        """The prompt, with room for `max_tokens` (at most a quarter of the context) after it.

        Raises BadInputError for a picture that cannot be used and for a newest message that is too large.
        """
        self._check_sight(messages)
        budget = self._n_ctx - min(max_tokens, self._n_ctx // 4) - _SPARE
        turns = _turns(messages)
        self._check_newest(messages, turns, budget)
        sizes = [self._turn_size(messages, turn) for turn in turns]
        fixed = sum(self._size(m) for m in messages if m.turn is None)
        for start in range(self._start(messages, turns, sizes, fixed, budget), max(1, len(turns))):
            dropped = turns[:start]
            prompt = self._assemble(without_turns(messages, frozenset(dropped)), tuple(dropped))
            if prompt.tokens <= budget:
                return prompt
        raise self._too_large(prompt.tokens, budget)

    def cells(self, parts: Iterable[Part]) -> tuple[Cell, ...]:
        """Cells of a rendered template. Text between two special tokens is tokenized in one piece, whoever wrote it."""
        cells: list[Cell] = []
        run = _Run(self._vocabulary)
        for part in parts:
            if isinstance(part, Picture):
                assert self._vision is not None
                cells += [*run.take(), *self._vision.cells(part.ref)]
            elif isinstance(part, Content) and part.role == "assistant" and part.text in self._written:
                cells += [*run.take(), *self._written[part.text]]
            else:
                typed = isinstance(part, Content) and part.role not in ("assistant", "system")
                for piece in self._pieces(part):
                    cells += [*run.take(), piece] if isinstance(piece, int) else run.add(piece, typed)
        cells += run.take()
        begin = self._vocabulary.bos
        return tuple(cells) if not self._vocabulary.adds_bos or cells[:1] == [begin] else (begin, *cells)

    def _pieces(self, part: TemplateText | Content) -> Iterable[str | int]:
        vocabulary = self._vocabulary
        if isinstance(part, TemplateText):
            return vocabulary.split_specials(part.text, vocabulary.specials)
        if part.role in ("assistant", "system"):
            # The protocol's tags are meant here; what builds the chat is not.
            return vocabulary.split_specials(part.text, vocabulary.specials.keys() - self.structural)
        return [part.text]

    def _structural(self) -> frozenset[str]:
        specials = self._vocabulary.specials
        found = {t for t, i in specials.items() if i in self._vocabulary.eog or t.startswith("<|")}
        for part in self._template.parts(_PROBE):
            if isinstance(part, TemplateText):
                ids = set(self._vocabulary.split_specials(part.text, specials))
                found |= {text for text, i in specials.items() if i in ids}
        return frozenset(found)

    def _assemble(self, messages: Sequence[Message], dropped: tuple[int, ...]) -> Prompt:
        parts = self._template.parts(messages)
        pictures = {part.ref.sha256: part.ref for part in parts if isinstance(part, Picture)}
        return Prompt(self.cells(parts), pictures, dropped)

    def _start(
        self, messages: Sequence[Message], turns: list[int], sizes: list[TurnSize], fixed: int, budget: int
    ) -> int:
        start = first_kept(sizes, fixed, budget)
        latest = latest_picture(messages)
        if start and latest is not None and self._vision is not None:
            moved = self._vision.estimate(latest)
            sizes = [*sizes[:-1], TurnSize(sizes[-1].asked + moved, sizes[-1].full + moved)]
            start = max(start, first_kept(sizes, fixed, budget))
        return start

    def _turn_size(self, messages: Sequence[Message], turn: int) -> TurnSize:
        asked = sum(self._size(m) for m in messages if m.turn == turn and m.role != "assistant")
        return TurnSize(asked, asked + sum(self._size(m) for m in messages if m.turn == turn and m.role == "assistant"))

    def _size(self, message: Message) -> int:
        pictures = sum(self._vision.estimate(ref) for ref in message.images) if self._vision else 0
        return self._count(message.text) + pictures + _PER_MESSAGE

    def _check_sight(self, messages: Sequence[Message]) -> None:
        if self._vision is None and any(m.images for m in messages):
            raise BadInputError(self._why_blind)

    def _check_newest(self, messages: Sequence[Message], turns: list[int], budget: int) -> None:
        """Refuse before anything large is rendered or tokenized."""
        newest = turns[-1] if turns else None
        size = sum(self._size(m) for m in messages if m.turn is None or m.turn == newest)
        if size > budget + _PER_MESSAGE * len(messages):
            raise self._too_large(size, budget)

    def _too_large(self, size: int, budget: int) -> BadInputError:
        about = f"more than {self._n_ctx:,}" if size > self._n_ctx else f"{size:,}"
        return BadInputError(
            f"The message is {about} tokens long with its pictures and instructions, but {self._name} can read "
            f"{budget:,} at a time; shorten it."
        )


class _Run:
    """Text between two special tokens, gathered from template and messages, tokenized as a whole."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._text = ""
        self._typed: list[tuple[int, int]] = []

    def add(self, text: str, typed: bool) -> tuple[()]:
        if typed:
            self._typed.append((len(self._text), len(self._text) + len(text)))
        self._text += text
        return ()

    def take(self) -> list[int]:
        ids = self._vocabulary.tokenize(self._text, self._typed) if self._text else []
        self._text, self._typed = "", []
        return ids


def _turns(messages: Sequence[Message]) -> list[int]:
    """Turn numbers in order of appearance, oldest first."""
    return list(dict.fromkeys(m.turn for m in messages if m.turn is not None))
