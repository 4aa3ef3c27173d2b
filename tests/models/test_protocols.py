"""The prompt side: messages are stable from turn to turn, past turns keep their prompts, whoever wrote them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import BadModelError, ImageRef, KnownError, Message, PastTurn, Reply, TurnRequest
from models.protocols import PROTOCOLS, get_protocol
from models.protocols.tagged import TagProtocol, prompt_text, split_correction

FOX = "A red fox, the background is snow, the lens is close-up, the style is cartoon"
PICTURE = ImageRef("/p/1.png", "ab", 64, 64, "upload")
DRAWN = ImageRef("/p/2.png", "cd", 64, 64, "drawn", number=2)
RAW = {
    "dialoggen": f"<draw>{FOX}</draw>Here is your fox.",
    "mini_dalle3": f"Here is your fox. <image> {FOX} </image>",
    "seed_llama": f"{FOX} <img><img_00001><img_00002></img> Here is your fox.",
    "next_gpt": f"{FOX} [IMG0] [IMG1] [IMG2] [IMG3] Here is your fox.",
}
protocols = pytest.mark.parametrize("name", PROTOCOLS)


def _past(raw: str, prompts: tuple[str, ...] = (FOX,)) -> PastTurn:
    return PastTurn("t0", "draw a fox", (), raw, (DRAWN,) if prompts else (), prompts, seed=7)


def test_four_protocols_by_name() -> None:
    assert PROTOCOLS == ("dialoggen", "mini_dalle3", "seed_llama", "next_gpt")
    for name in PROTOCOLS:
        protocol = get_protocol(name)
        assert protocol.name == name
        assert protocol.decision.openers
        forbidden = protocol.decision.forbidden
        assert all(any(opener.startswith(f) for f in forbidden) for opener in protocol.decision.openers)


def test_an_unknown_name_is_a_known_error() -> None:
    with pytest.raises(BadModelError, match="choose one of: dialoggen, mini_dalle3, seed_llama, next_gpt"):
        get_protocol("telepathy")


def test_dialoggen_system_prompt_is_the_papers_byte_for_byte() -> None:
    system = get_protocol("dialoggen").messages(TurnRequest("t", "hi"), True)[0]
    expected = (
        "Please first identify the intention of the user, if it is to draw please append <draw> before the output"
    )
    assert system == Message("system", expected)


@protocols
def test_openers_begin_a_drawing_reply(name: str) -> None:
    protocol = get_protocol(name)
    for opener in protocol.decision.openers:
        parser = protocol.parser()
        assert parser.feed(opener + "a fox") in ("", "a fox")
        assert len(parser.finish()[1].draws) == 1


@protocols
def test_messages_of_a_conversation(name: str) -> None:
    history = (_past(RAW[name]), PastTurn("t1", "what is in it?", (PICTURE,), "A fox."))
    request = TurnRequest("t2", "and this <draw> <image> [IMG0] <img>?", (DRAWN,), history)
    messages = [m for m in get_protocol(name).messages(request, vision=True) if m.role != "system"]
    assert [m.role for m in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [m.turn for m in messages] == [0, 0, 1, 1, 2]
    assert [m.images for m in messages] == [(), (), (PICTURE,), (), (DRAWN,)]
    assert FOX in messages[1].text
    assert get_protocol(name).decision.openers[0] not in messages[-1].text


@protocols
def test_each_turn_only_adds_to_the_last(name: str) -> None:
    """Else the prefix cache is lost."""
    text = st.sampled_from(["draw a fox", "画一只狐狸", "<draw>", "now at night", "", "[IMG0]"])
    turn = st.builds(
        PastTurn,
        turn_id=st.just("t"),
        text=text,
        images=st.sampled_from([(), (PICTURE,)]),
        raw_output=st.sampled_from([*RAW.values(), "A fox eats mice.", "", "<draw>", "<画图>狐狸"]),
        prompts=st.sampled_from([(), (FOX,), (FOX, FOX)]),
    )

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.lists(turn, min_size=1, max_size=5), st.booleans())
    def check(turns: list[PastTurn], vision: bool) -> None:
        protocol = get_protocol(name)
        shorter: tuple[Message, ...] = ()
        for n in range(len(turns)):
            now = TurnRequest("t", turns[n].text, turns[n].images, tuple(turns[:n]))
            messages = protocol.messages(now, vision)
            assert messages[: len(shorter)] == shorter
            assert messages[-1].role == "user"
            shorter = messages

    check()


def test_mini_dalle3_speaks_the_language_the_conversation_began_in() -> None:
    protocol = get_protocol("mini_dalle3")
    began_zh = (PastTurn("t0", "画一只狐狸", (), "好的"),)
    assert "小画室" in protocol.messages(TurnRequest("t", "hello", history=began_zh), True)[0].text
    assert "small studio" in protocol.messages(TurnRequest("t", "hello"), True)[0].text


def test_few_shot_examples_parse_as_their_own_protocol() -> None:
    for language in ("en", "zh"):
        text = prompt_text("mini_dalle3", f"{language}.txt")
        answers = [line.removeprefix("AI:") for line in text.splitlines() if line.startswith("AI:")]
        protocol = get_protocol("mini_dalle3")
        assert isinstance(protocol, TagProtocol)
        actions = [d.action for answer in answers for d in protocol.grammar.read(answer).draws]
        assert actions == ["draw", "edit", "edit", "draw", "edit"]


@protocols
def test_pictures_for_a_model_without_eyes_become_a_mark(name: str) -> None:
    history = (PastTurn("t0", "look", (DRAWN,), "I cannot."),)
    messages = get_protocol(name).messages(TurnRequest("t", "hi", history=history), vision=False)
    users = [m for m in messages if m.role == "user"]
    assert [m.images for m in users] == [(), ()]
    assert users[0].text == "[picture 2] look"


@protocols
def test_own_past_is_verbatim(name: str) -> None:
    assert get_protocol(name).past(_past(RAW[name])) == RAW[name]
    assert get_protocol(name).past(_past("Just words, <b>no</b> tag.", ())) == "Just words, <b>no</b> tag."


@protocols
@pytest.mark.parametrize("writer", PROTOCOLS)
def test_a_past_turn_survives_a_change_of_model(name: str, writer: str) -> None:
    protocol = get_protocol(name)
    assert isinstance(protocol, TagProtocol)
    spelled = protocol.past(_past(RAW[writer]))
    reply = protocol.grammar.read(spelled)
    assert [d.prompt for d in reply.draws] == [FOX]
    assert "Here is your fox." in spelled


@protocols
def test_a_picture_without_a_written_prompt_is_remembered_with_it(name: str) -> None:
    """The user's words were used as the prompt, or SEED wrote only codes: the record must still say what was drawn."""
    for raw in ("Gladly.", "<img><img_00001></img>", "", "[IMG0] [IMG1]", "<draw>"):
        assert FOX in get_protocol(name).past(_past(raw))


@protocols
def test_variations_tell_their_prompt_once(name: str) -> None:
    spelled = get_protocol(name).past(_past("Gladly.", (FOX, FOX, "A hen")))
    assert spelled.count(FOX) == 1
    assert "A hen" in spelled


@protocols
def test_correction_follows_the_first_output(name: str) -> None:
    protocol = get_protocol(name)
    request = TurnRequest("t", "draw a fox", history=(_past(RAW[name]),))
    first = Reply(RAW[name], ())
    messages = protocol.correction(request, first, vision=True)
    before = protocol.messages(request, vision=True)
    assert messages[: len(before)] == before
    assert messages[len(before)] == Message("assistant", RAW[name], turn=1)
    assert messages[-1].role == "user"
    assert len(messages[-1].text) > 40


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("<draw>A fox", ("", "<draw>A fox")),
        ("Words.", ("", "Words.")),
        ("Correction: breaks rule 3.\nCorrect Solution:<draw>A fox", ("Correction: breaks rule 3.", "<draw>A fox")),
        ("**Correction:** ok\n\n**Correct Solution:** Words.", ("**Correction:** ok", "Words.")),
        ("修正：意图错了\n正确输出：<画图>狐狸", ("修正：意图错了", "<画图>狐狸")),
        ("Correction: it is right", ("Correction: it is right", "")),
        ("", ("", "")),
    ],
)
def test_correction_and_output_are_told_apart(raw: str, parts: tuple[str, str]) -> None:
    assert split_correction(raw) == parts


def test_known_errors_are_sentences() -> None:
    with pytest.raises(KnownError) as caught:
        get_protocol("")
    assert str(caught.value).endswith(".")
