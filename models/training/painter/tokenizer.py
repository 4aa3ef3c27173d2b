"""A CLIP tokenizer of our own: byte-level BPE with `</w>`, learnt from captions, in which Chinese characters are whole.

transformers' slow CLIPTokenizer puts spaces round every Chinese character, so each one is a word of its own; the merges
needed to make it one token are added for every character that is wanted. Knows words, not scenes.
"""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer
from transformers.models.clip.tokenization_clip import bytes_to_unicode

MAX_LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def _learnt_merges(words: dict[str, int], count: int) -> list[tuple[str, str]]:
    """Plain BPE over a table of words (byte letters, the last one with </w>) and how often they occur."""
    letters = bytes_to_unicode()
    split = {}
    for word in words:
        pieces = [letters[b] for b in word.encode("utf-8")]
        split[word] = [*pieces[:-1], pieces[-1] + "</w>"]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: dict[tuple[str, str], int] = {}
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] = pairs.get(pair, 0) + words[word]
        if not pairs:
            break
        best = max(sorted(pairs), key=pairs.__getitem__)
        if pairs[best] < 2:
            break
        merges.append(best)
        for word, pieces in split.items():
            split[word] = _merged(pieces, best)
    return merges


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    i = 0
    while i < len(pieces):
        if i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) == pair:
            out.append(pieces[i] + pieces[i + 1])
            i += 2
        else:
            out.append(pieces[i])
            i += 1
    return out


def _character_merges(characters: Iterable[str]) -> list[tuple[str, str]]:
    """The merges that make each three-byte character one token, alone or inside a word."""
    letters = bytes_to_unicode()
    merges: dict[tuple[str, str], None] = {}
    for character in characters:
        a, b, c = (letters[byte] for byte in character.encode("utf-8"))
        merges[(a, b)] = None
        merges[(a + b, c)] = None  # inside a word: only for tokenizers that keep Chinese characters together
        merges[(a + b, c + "</w>")] = None
    return list(merges)


def train_tokenizer(texts: Iterable[str], folder: Path, size: int = 3200) -> CLIPTokenizer:
    """Writes vocab.json, merges.txt and the settings into folder (made if need be) and loads the result.

    size: entries in all; Chinese characters of the texts always have theirs, English words share the rest.
    """
    words: dict[str, int] = {}
    characters: dict[str, None] = {}
    for text in texts:
        for character in _CHINESE.findall(text):
            characters[character] = None
        for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9\u3400-\u9fff]+", text.lower()):
            words[word] = words.get(word, 0) + 1
    letters = list(bytes_to_unicode().values())
    chinese = _character_merges(sorted(characters))
    merges = chinese + _learnt_merges(words, max(0, size - 2 * len(letters) - len(chinese) - 2))
    vocabulary = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *dict.fromkeys(a + b for a, b in merges),
        START,
        END,
    ]
    return _written(vocabulary, merges, folder)


def _written(vocabulary: list[str], merges: list[tuple[str, str]], folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=MAX_LENGTH, pad_token=END
    )
    tokenizer.save_pretrained(str(folder))
    return tokenizer
