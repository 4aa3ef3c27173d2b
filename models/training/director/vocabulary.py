"""The director's tokens: SmolLM2's byte-level BPE with unused specials renamed, and the ChatML template.

Knows no weights and no training data; what has to be byte-exact between training and llama.cpp is decided here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

REPOSITORY = Path(__file__).resolve().parents[3]
SYSTEM_PROMPT_FILE = REPOSITORY / "resources" / "prompts" / "dialoggen" / "system.txt"

ENDOFTEXT, IM_START, IM_END = 0, 1, 2
DRAW, DRAW_END, VISION_START, VISION_END, IMAGE_PAD = 3, 4, 5, 6, 7
NEW_SPECIALS = {
    DRAW: "<draw>",
    DRAW_END: "</draw>",
    VISION_START: "<|vision_start|>",
    VISION_END: "<|vision_end|>",
    IMAGE_PAD: "<|image_pad|>",
}
"""Ids of SmolLM2's unused specials (`<repo_name>` and the next four) and what they mean from now on."""
N_SPECIALS = 17


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id (the first 17 are specials) and the BPE merges, as the GGUF stores them."""

    tokens: Sequence[str]
    merges: Sequence[str]


def system_prompt() -> str:
    """P_I = P_T of DialogGen §5.2, the exact bytes used in training."""
    return SYSTEM_PROMPT_FILE.read_text(encoding="utf-8")


def chat_template() -> str:
    """Jinja source of the Qwen2-VL style ChatML; a conversation without a system turn gets P_I."""
    return (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n" + system_prompt() + "<|im_end|>\n{% endif %}"
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for content in message['content'] %}"
        "{% if content['type'] in ['image', 'image_url'] or 'image' in content or 'image_url' in content %}"
        "<|vision_start|><|image_pad|><|vision_end|>"
        "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def read_vocabulary(gguf_path: Path, size: int | None = None) -> Vocabulary:
    """Vocabulary of a SmolLM2 GGUF with the director's specials put in place of the unused ones.

    With `size`, only the first `size` tokens stay: merges are in the order of their tokens, so the rest is a smaller
    BPE that spells rare words in more pieces.
    """
    fields = GGUFReader(gguf_path).fields
    tokens: list[str] = list(fields["tokenizer.ggml.tokens"].contents())[:size]
    for index, name in NEW_SPECIALS.items():
        tokens[index] = name
    known = set(tokens)
    merges = [merge for merge in fields["tokenizer.ggml.merges"].contents() if merge.replace(" ", "") in known]
    return Vocabulary(tokens, merges)


def read_vocabulary_exactly(gguf_path: Path) -> Vocabulary:
    """Vocabulary of a director's own GGUF, as it stands there."""
    fields = GGUFReader(gguf_path).fields
    tokens, merges = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges"))
    return Vocabulary(list(tokens), list(merges))


def save_vocabulary(vocabulary: Vocabulary, path: Path) -> None:
    """Keep a vocabulary as JSON beside the checkpoints."""
    path.write_text(json.dumps({"tokens": vocabulary.tokens, "merges": vocabulary.merges}), encoding="utf-8")


def load_vocabulary(path: Path) -> Vocabulary:
    """What `save_vocabulary` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Vocabulary(content["tokens"], content["merges"])


def build_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The same tokenizer in Hugging Face's form (llama.cpp calls its pre-tokenizer `smollm`)."""
    pairs = [tuple(merge.split(" ", 1)) for merge in vocabulary.merges]
    ids = {token: index for index, token in enumerate(vocabulary.tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=pairs, fuse_unk=False, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(token, special=True, normalized=False) for token in vocabulary.tokens[:N_SPECIALS]]
    tokenizer.add_special_tokens(specials)
    return tokenizer


def save_template(folder: Path) -> None:
    """Write chat_template.jinja; the tokenizer itself is in the GGUF (`read_vocabulary_exactly`)."""
    (folder / "chat_template.jinja").write_text(chat_template(), encoding="utf-8")
