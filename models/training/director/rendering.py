"""Dialogues as token sequences, byte for byte what the chat template gives, with loss mask and M-RoPE positions.

Knows the vocabulary and the template's form; knows no model. A picture is 16 tokens on a 4×4 grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.training.director import vocabulary as vo
from models.training.director.corrections import Correction, correction_prompt
from models.training.director.dialogues import Dialogue, Picture, Turn
from models.training.director.vision import IMAGE_SIDE, TOKEN_SIDE

GRID = IMAGE_SIDE // TOKEN_SIDE
PICTURE_TOKENS = GRID * GRID
SLOTS = {"subject": 6, "background": 5, "lens": 2, "style": 3}
"""How many of the 16 picture tokens tell each field (the tower is trained to give the words' embeddings there)."""
EMPTY_SLOT = vo.ENDOFTEXT


@dataclass
class Example:
    """One conversation in tokens.

    ids: picture places hold the ids of the words the tower should see there (`picture_words`).
    learn: True where the token is the assistant's and is to be predicted.
    decisions: (index of the assistant's first token, whether it is `<draw>`).
    positions: three rows (time, height, width), as long as ids.
    pictures: (index of the first of 16 picture tokens, what it shows).
    seen: the tower's output [16, hidden] for each picture; empty as long as the words stand in for them.
    """

    ids: list[int] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)
    decisions: list[tuple[int, bool]] = field(default_factory=list)
    positions: tuple[list[int], list[int], list[int]] = field(default_factory=lambda: ([], [], []))
    pictures: list[tuple[int, Picture]] = field(default_factory=list)
    seen: list[Tensor] = field(default_factory=list)

    def add(self, ids: Sequence[int], learn: bool = False) -> None:
        """Append text tokens; all three positions count on."""
        start = 1 + max((row[-1] for row in self.positions if row), default=-1)
        start = max(start, self._after_picture())
        self.ids.extend(ids)
        self.learn.extend([learn] * len(ids))
        for row in self.positions:
            row.extend(range(start, start + len(ids)))

    def _after_picture(self) -> int:
        return max((max(row[-PICTURE_TOKENS:]) + 1 for row in self.positions if row), default=0)

    def add_picture(self, words: Sequence[int], picture: Picture) -> None:
        """Append 16 picture tokens: time stands still, height and width count over the grid."""
        start = 1 + self.positions[0][-1]
        self.pictures.append((len(self.ids), picture))
        self.ids.extend(words)
        self.learn.extend([False] * PICTURE_TOKENS)
        self.positions[0].extend([start] * PICTURE_TOKENS)
        self.positions[1].extend(start + index // GRID for index in range(PICTURE_TOKENS))
        self.positions[2].extend(start + index % GRID for index in range(PICTURE_TOKENS))


def answer(turn: Turn) -> str:
    """The assistant's raw output: words, or `<draw>PROMPT</draw>SAY`."""
    return turn.say if turn.prompt is None else f"<draw>{turn.prompt}</draw>{turn.say}"


class Renderer:
    """Dialogue → Example, with the tokens of fixed pieces made once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.system = self._special(f"<|im_start|>system\n{vo.system_prompt()}<|im_end|>\n")
        self.user = self._special("<|im_start|>user\n")
        self.assistant = self._special("<|im_end|>\n<|im_start|>assistant\n")
        self.newline = self._special("\n")

    def _special(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def plain(self, text: str) -> list[int]:
        """Tokens of the user's or the model's words; a typed `<draw>` stays ordinary text."""
        return [index for part in _cut_at_specials(text) for index in self._special(part)]

    def picture_words(self, picture: Picture) -> list[int]:
        """The 16 ids a picture stands for: each field's words in its slots, EMPTY_SLOT behind them."""
        result: list[int] = []
        for name, room in SLOTS.items():
            text = getattr(picture, name)
            ids = self.plain(" " + text)[:room] if text else []
            result += ids + [EMPTY_SLOT] * (room - len(ids))
        return result

    def answer_ids(self, turn: Turn) -> list[int]:
        """Tokens of the assistant's output with the closing `<|im_end|>`."""
        say = self.plain(turn.say)
        if turn.prompt is None:
            return [*say, vo.IM_END]
        return [vo.DRAW, *self.plain(turn.prompt), vo.DRAW_END, *say, vo.IM_END]

    def add_turn(self, example: Example, turn: Turn, learn: bool = True) -> None:
        """Append one exchange: user's side, then the assistant's."""
        example.add(self.user)
        if turn.picture is not None:
            example.add([vo.VISION_START])
            example.add_picture(self.picture_words(turn.picture), turn.picture)
            example.add([vo.VISION_END])
        example.add(self.plain(turn.user) + self.assistant)
        if learn:
            example.decisions.append((len(example.ids), turn.prompt is not None))
        example.add(self.answer_ids(turn), learn=learn)
        example.add(self.newline)

    def render(self, dialogue: Dialogue) -> Example:
        """A whole conversation behind the system prompt."""
        example = Example()
        example.add(self.system)
        for turn in dialogue.turns:
            self.add_turn(example, turn)
        return example


def _cut_at_specials(text: str) -> list[str]:
    """Pieces of `text` without any special token's name: each name is cut in two, which spells it in plain tokens."""
    if "<" not in text:
        return [text]
    pieces = [text]
    for name in (*vo.NEW_SPECIALS.values(), "<|im_start|>", "<|im_end|>", "<|endoftext|>"):
        pieces = [part for piece in pieces for part in _cut(piece, name)]
    return pieces


def _cut(text: str, name: str) -> list[str]:
    head, *tails = text.split(name)
    result = [head]
    for tail in tails:
        result[-1] += name[0]
        result.append(name[1:] + tail)
    return [piece for piece in result if piece]


def render_correction(renderer: Renderer, correction: Correction) -> Example:
    """The conversation up to the draft, P_c as a further user's turn, and the right answer, which alone is learnt."""
    example = Example()
    example.add(renderer.system)
    for turn in correction.past:
        renderer.add_turn(example, turn, learn=False)
    renderer.add_turn(example, correction.draft, learn=False)
    renderer.add_turn(example, replace(correction.right, user=correction_prompt(), picture=None))
    return example


@dataclass
class Batch:
    """Right-padded tensors: ids [B, T], positions [3, B, T], learn [B, T] and the examples they come from."""

    ids: Tensor
    positions: Tensor
    learn: Tensor
    examples: list[Example]


def collate(examples: list[Example]) -> Batch:
    """Pad to the longest example."""
    length = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), length), vo.IM_END)
    positions = torch.zeros((3, len(examples), length), dtype=torch.long)
    learn = torch.zeros((len(examples), length), dtype=torch.bool)
    for row, example in enumerate(examples):
        size = len(example.ids)
        ids[row, :size] = torch.tensor(example.ids)
        learn[row, :size] = torch.tensor(example.learn)
        positions[:, row, :size] = torch.tensor(example.positions)
    return Batch(ids, positions, learn, examples)
