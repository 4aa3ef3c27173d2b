"""Finding turns by words: the artist's text, the prompts and the answers. Knows the table `words` and nothing else.

FTS5 with trigrams finds any piece of three or more characters, in any language. Shorter pieces, such as most Chinese
words, are looked for by reading the indexed texts through, which 100,000 turns bear.
"""

import sqlite3
from collections.abc import Iterable

from .records import SearchHit
from .rows import plain

LIMIT = 20_000
"""Characters of a text that can be found; a pasted novel must not slow down the commit of a turn."""

_KINDS = {"asked": "text", "prompt": "prompt", "answer": "answer"}
_AROUND = 40


def add_asked(connection: sqlite3.Connection, seq: int, text: str) -> None:
    """Begin a turn's entry with the artist's words."""
    values = (seq, plain(text[:LIMIT]))
    connection.execute("INSERT INTO words(rowid, asked, prompt, answer) VALUES (?, ?, '', '')", values)


def add_prompt(connection: sqlite3.Connection, turn_id: str, prompt: str) -> None:
    """Add the prompt of one more picture."""
    connection.execute(
        "UPDATE words SET prompt = prompt || char(10) || ? WHERE rowid = (SELECT seq FROM turns WHERE id = ?)",
        (plain(prompt[:LIMIT]), turn_id),
    )


def add_answer(connection: sqlite3.Connection, turn_id: str, answer: str) -> None:
    """Add the visible words of the reply."""
    connection.execute(
        "UPDATE words SET answer = ? WHERE rowid = (SELECT seq FROM turns WHERE id = ?)",
        (plain(answer[:LIMIT]), turn_id),
    )


def remove_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Forget the turns of a session; to be called while they are still there."""
    connection.execute("DELETE FROM words WHERE rowid IN (SELECT seq FROM turns WHERE session_id = ?)", (session_id,))


def find(connection: sqlite3.Connection, text: str, limit: int) -> list[SearchHit]:
    """Turns that contain every one of the words, newest first; none for an empty search."""
    pieces = plain(text).replace("\0", " ").split()
    if not pieces:
        return []
    long = [piece for piece in pieces if len(piece) >= 3]
    conditions, values = _short_conditions(piece for piece in pieces if len(piece) < 3)
    if long:
        conditions.append("words MATCH ?")
        values.append(" AND ".join(f'"{piece.replace(chr(34), chr(34) * 2)}"' for piece in long))
    rows = connection.execute(
        f"""SELECT t.id, t.session_id, w.asked, w.prompt, w.answer FROM words w JOIN turns t ON t.seq = w.rowid
        WHERE {" AND ".join(conditions)} ORDER BY w.rowid DESC LIMIT ?""",
        (*values, limit),
    ).fetchall()
    return [_hit(row, pieces[0]) for row in rows]


def _short_conditions(pieces: Iterable[str]) -> tuple[list[str], list[str]]:
    patterns = ["%" + p.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for p in pieces]
    condition = "(w.asked || char(10) || w.prompt || char(10) || w.answer) LIKE ? ESCAPE '\\'"
    return [condition] * len(patterns), patterns


def _hit(row: sqlite3.Row, piece: str) -> SearchHit:
    column = next((name for name in _KINDS if piece.casefold() in row[name].casefold()), "asked")
    return SearchHit(row["id"], row["session_id"], _KINDS[column], _excerpt(row[column], piece))


def _excerpt(text: str, piece: str) -> str:
    at = max(0, text.casefold().find(piece.casefold()))
    start, end = max(0, at - _AROUND), at + len(piece) + _AROUND
    cut = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{cut}{'…' if end < len(text) else ''}"
