"""The tables, as a list of migrations. Knows no Python objects: what a column holds is read and written in rows.py.

Never change a migration that has been released; append a new one. Each runs in one transaction, after a backup of the
database file. Structured parts are JSON columns; what is searched, joined or counted is a plain column.
"""

APPLICATION_ID = 0x4C494D4E
"""'LIMN' in the file header: this SQLite file is a Limner library."""

_TABLES = (
    # head and the parents are checked at commit, so that a whole session can go in one transaction however deep it is.
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        head TEXT REFERENCES turns(id) DEFERRABLE INITIALLY DEFERRED,
        seed INTEGER NOT NULL CHECK (seed BETWEEN 0 AND 4294967295),
        seed_locked INTEGER NOT NULL
    )""",
    "CREATE INDEX sessions_by_head ON sessions(head)",
    "CREATE INDEX sessions_by_time ON sessions(updated)",
    """CREATE TABLE turns (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES sessions(id) DEFERRABLE INITIALLY DEFERRED,
        parent_id TEXT,
        created REAL NOT NULL,
        finished REAL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'cancelled', 'failed', 'interrupted')),
        text TEXT NOT NULL,
        images TEXT NOT NULL,
        modality TEXT NOT NULL,
        seed INTEGER NOT NULL CHECK (seed BETWEEN 0 AND 4294967295),
        mllm_seed INTEGER NOT NULL,
        two_step INTEGER NOT NULL,
        overrides TEXT NOT NULL,
        raw_output TEXT,
        say TEXT,
        answered TEXT,
        p_draw REAL,
        reply TEXT,
        passes TEXT NOT NULL DEFAULT '[]',
        timings TEXT NOT NULL DEFAULT '{}',
        protocol TEXT NOT NULL DEFAULT '',
        mllm_name TEXT,
        mllm_sha256 TEXT,
        t2i_name TEXT,
        t2i_sha256 TEXT,
        verdict TEXT,
        error TEXT,
        UNIQUE (session_id, id),
        FOREIGN KEY (session_id, parent_id) REFERENCES turns(session_id, id) DEFERRABLE INITIALLY DEFERRED
    )""",
    "CREATE INDEX turns_by_parent ON turns(session_id, parent_id, seq)",
    "CREATE INDEX turns_pending ON turns(state) WHERE state = 'pending'",
    """CREATE TABLE pictures (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL,
        turn_id TEXT NOT NULL REFERENCES turns(id),
        session_id TEXT NOT NULL REFERENCES sessions(id),
        slot INTEGER NOT NULL,
        number INTEGER NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        created REAL NOT NULL,
        seconds REAL NOT NULL,
        prompt TEXT NOT NULL,
        seed INTEGER NOT NULL,
        model_name TEXT,
        model_sha256 TEXT,
        spec TEXT NOT NULL,
        steps TEXT NOT NULL,
        tokens TEXT NOT NULL,
        starred INTEGER NOT NULL DEFAULT 0,
        missing INTEGER NOT NULL DEFAULT 0,
        UNIQUE (turn_id, slot),
        UNIQUE (session_id, number)
    )""",
    "CREATE INDEX pictures_by_sha256 ON pictures(sha256, missing)",
    "CREATE INDEX pictures_shown ON pictures(session_id, missing, number, sha256)",
    "CREATE INDEX pictures_by_time ON pictures(created)",
    """CREATE TABLE uploads (
        sha256 TEXT PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL, created REAL NOT NULL
    )""",
    # Which files a turn stands on (its own pictures aside), so that deleting one session never breaks another.
    """CREATE TABLE uses (
        turn_id TEXT NOT NULL REFERENCES turns(id), sha256 TEXT NOT NULL, PRIMARY KEY (turn_id, sha256)
    ) WITHOUT ROWID""",
    "CREATE INDEX uses_by_sha256 ON uses(sha256)",
    # A picture on its way into the tree: written before the file is moved, gone in the transaction that adds its row.
    """CREATE TABLE arrivals (
        turn_id TEXT NOT NULL REFERENCES turns(id), slot INTEGER NOT NULL, sha256 TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (turn_id, slot)
    )""",
    # Files whose last row was deleted on purpose and which are still to be removed from the disk.
    "CREATE TABLE discarded (path TEXT PRIMARY KEY)",
)

_WORDS = (
    # Trigrams find words of three and more characters in any language, Chinese included; shorter ones are scanned for.
    "CREATE VIRTUAL TABLE words USING fts5(asked, prompt, answer, tokenize = 'trigram')",
    """INSERT INTO words(rowid, asked, prompt, answer)
        SELECT t.seq, substr(t.text, 1, 20000),
            COALESCE((SELECT group_concat(p.prompt, char(10)) FROM pictures p WHERE p.turn_id = t.id), ''),
            substr(COALESCE(t.say, ''), 1, 20000)
        FROM turns t""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_TABLES, _WORDS)
"""MIGRATIONS[n] takes a database from `user_version` n to n + 1."""
