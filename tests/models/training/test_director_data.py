"""The director's training data: schema, split, mixture, templated sessions."""

import random

import pytest

from models.training.director import corrections, sessions, stages, synthetic
from models.training.director import dialogues as dg
from models.training.scenes.vocabulary import BACKGROUNDS, LENSES, STYLES, painter_subjects


@pytest.fixture(scope="module")
def every() -> list[dg.Dialogue]:
    return dg.load_dialogues(stages.english_names())


def test_split_is_disjoint_and_covers_both_languages(every: list[dg.Dialogue]) -> None:
    training, validation = dg.split(every)
    assert {d.id for d in training} & {d.id for d in validation} == set()
    assert len(training) + len(validation) == len(every) == len({d.id for d in every})
    for lang in ("en", "zh"):
        turns = [t for d in validation if d.lang == lang and d.kind == "D_T" for t in d.turns]
        assert len(turns) > 150
        assert {turn.scenario for turn in turns} == set(dg.SCENARIOS)


def test_rows_follow_the_schema(every: list[dg.Dialogue]) -> None:
    rows = dg.read_rows()
    assert len(rows) == len(every)
    for row in rows:
        parsed = dg.parse_row(row, {})
        for turn, raw in zip(parsed.turns, row.get("turns", [row]), strict=True):
            assert turn.user.strip() and (turn.say.strip() or turn.prompt)
            if "scenario" in raw:
                assert turn.scenario == raw["scenario"]
            if turn.prompt is not None:
                assert all(part.strip() for part in dg.split_prompt(turn.prompt))


def test_no_special_token_is_spelled_in_the_data(every: list[dg.Dialogue]) -> None:
    texts = [text for d in every for t in d.turns for text in (t.say, t.prompt or "")]
    assert not [text for text in texts if "<|" in text or "<draw>" in text]


def test_prompt_parts_come_back_together() -> None:
    for lang, parts in (("en", ("A fox", "a river", "close-up", "neon")), ("zh", ("一只狐狸", "河流", "特写", "霓虹"))):
        assert dg.split_prompt(dg.join_prompt(*parts, lang)) == parts


def test_broken_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="not a drawing prompt"):
        dg.split_prompt("A fox in the snow")


def test_mixture_holds_every_training_turn_once_and_no_validation_turn(every: list[dg.Dialogue]) -> None:
    training, validation = dg.split(every)
    mixed = synthetic.mixture(training, random.Random(3))
    ids = [part for dialogue in mixed for part in dialogue.id.split("+")]
    written = [i for i in ids if not i.startswith(("session", "picture"))]
    assert sorted(written) == sorted(d.id for d in training)
    assert not {d.id for d in validation} & set(ids)


def test_sessions_can_be_repeated_and_differ_by_seed() -> None:
    made = [synthetic.sessions(random.Random(seed), {"en": 3, "zh": 3}, {"en": 2, "zh": 2}) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_session_edit_changes_only_what_was_asked(lang: str) -> None:
    for seed in range(60):
        session = sessions.start(lang, random.Random(seed))
        sessions.first_picture(session)
        before = dg.split_prompt(session.turns[-1].prompt or "")
        sessions.edit_background(session)
        after = dg.split_prompt(session.turns[-1].prompt or "")
        assert after[1] != before[1]
        assert (after[0], *after[2:]) == (before[0], *before[2:])


def test_session_prompts_use_the_painters_words() -> None:
    for dialogue in synthetic.sessions(random.Random(0), {"en": 40, "zh": 40}, {"en": 20, "zh": 20}):
        tables = [names if dialogue.lang == "en" else set(names.values()) for names in (BACKGROUNDS, LENSES, STYLES)]
        for turn in dialogue.turns:
            if turn.prompt is not None:
                fields = dg.split_prompt(turn.prompt)[1:]
                assert all(field in table for field, table in zip(fields, tables, strict=True))


def test_every_subject_of_the_painter_has_facts() -> None:
    assert set(sessions.facts()) == set(painter_subjects())


def test_corrections_spoil_half_of_the_drafts_and_nothing_else(every: list[dg.Dialogue]) -> None:
    training, _ = dg.split(every)
    made = corrections.corrections(training, 40, random.Random(0))
    for number, fix in enumerate(made):
        assert (fix.draft.user, fix.draft.picture) == (fix.right.user, fix.right.picture)
        if number % 2:
            assert fix.draft == fix.right
    spoilt = [fix for fix in made[::2] if (fix.draft.say, fix.draft.prompt) != (fix.right.say, fix.right.prompt)]
    assert len(spoilt) >= 18  # a foreign field may happen to be the right one
