"""The streaming parsers: no split changes anything, no tag is visible, no word is lost."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import DrawSegment, Reply, Segment, TextSegment
from models.protocols import PROTOCOLS, get_protocol
from models.protocols.parsing import JOINT
from models.protocols.tagged import TagProtocol

TAGS = {
    "dialoggen": ["<draw>", "</draw>", "< Draw >", "</ DRAW\n>", "<画图>", "</画图>", "＜draw＞", "<\t/draw>"],
    "mini_dalle3": [
        "<image>", "</image>", "<edit>", "</edit>", '<image id="1">', '<edit id="3" prev_id="2">', "< Image >",
        "</ Edit >", "<select id='4'>", "</select>", "<refine>", "</refine>", "<variation id=2 >", "</variation>",
    ],
    "seed_llama": ["<img>", "</img>", "<img_00012>", "< IMG >", "</ img>", "<img_08191 >"],
    "next_gpt": ["[IMG0]", "[IMG1]", "[ img2 ]", "[IMG0] [IMG1] [IMG2] [IMG3]", "[VID0]", "<image_00>", "<audio_01>"],
}  # fmt: skip
SHARDS = ["<", ">", "</", "[", "]", "dra", "w>", "<dr", "aw>", "<im", "g>", "age>", "<img_0", "[IM", "G0]", "画", "<画",
          "图>", 'id="', "=", "<image id", "edit>", "＜", "/", "_0", "1"]  # fmt: skip
"""Pieces that come close to a tag, or make one together."""
WORDS = ["a fox", "The style is ukiyo-e.", "狐狸，背景是雪地", "\n\n", " ", "2 < 3 and 5 > 4", "🦊👩‍🚀", "\t", "שלום",
         "x[1] = y", "e\u0301", "<b>bold</b>", "<|im_end|>", "\x00", "&lt;draw&gt;"]  # fmt: skip
SAFE = [word for word in WORDS if not set("<>[]＜") & set(word)]

protocols = pytest.mark.parametrize("name", PROTOCOLS)
quick = settings(max_examples=150, deadline=None, database=None)


def _protocol(name: str) -> TagProtocol:
    protocol = get_protocol(name)
    assert isinstance(protocol, TagProtocol)
    return protocol


def _outputs(name: str) -> st.SearchStrategy[str]:
    piece = st.one_of(st.sampled_from(TAGS[name]), st.sampled_from(SHARDS), st.sampled_from(WORDS))
    return st.lists(piece, max_size=14).map("".join)


def _read(name: str, chunks: list[str]) -> tuple[str, Reply]:
    parser = get_protocol(name).parser()
    visible = "".join(parser.feed(chunk) for chunk in chunks)
    rest, reply = parser.finish()
    return visible + rest, reply


def _segments(name: str, raw: str) -> tuple[Segment, ...]:
    return _read(name, [raw])[1].segments


def _dense(text: str) -> str:
    return re.sub(r"\s", "", text).replace(JOINT, "")


@protocols
def test_any_split_reads_the_same(name: str) -> None:
    @quick
    @given(_outputs(name), st.data())
    def check(raw: str, data: st.DataObject) -> None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
        chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        whole = _read(name, [raw])
        assert _read(name, chunks) == whole
        assert _read(name, list(raw)) == whole
        assert whole[1].raw == raw

    check()


@protocols
def test_no_tag_is_ever_visible(name: str) -> None:
    whole_tag = _protocol(name).grammar.whole

    @quick
    @given(_outputs(name))
    def check(raw: str) -> None:
        visible, reply = _read(name, list(raw))
        assert visible == reply.say
        assert not whole_tag.search(visible)
        assert not any(whole_tag.search(draw.prompt) for draw in reply.draws)

    check()


@protocols
def test_at_no_moment_does_part_of_a_tag_show(name: str) -> None:
    """What is visible after a chunk that ends inside a tag ends before that tag."""
    for tag in TAGS[name]:
        for cut in range(1, len(tag)):
            parser = get_protocol(name).parser()
            assert parser.feed("Look " + tag[:cut]).rstrip() == "Look", tag[:cut]


@protocols
def test_no_word_is_lost(name: str) -> None:
    """Words between tags are words or a prompt, in order; only bare numbers in `<select>` are neither."""
    piece = st.one_of(st.sampled_from(TAGS[name]).map(lambda t: (t, "")), st.sampled_from(SAFE).map(lambda w: (w, w)))

    @quick
    @given(st.lists(piece, max_size=14))
    def check(pieces: list[tuple[str, str]]) -> None:
        segments = _segments(name, "".join(p[0] for p in pieces))
        captions = name == "next_gpt" or (name == "seed_llama")
        seen: list[str] = []
        for segment in segments:
            if isinstance(segment, TextSegment):
                seen.append(segment.text)
            elif not (captions and (not segment.prompt or segment.prompt in seen)):
                seen.append(segment.prompt)
        expected = _dense("".join(p[1] for p in pieces))
        assert _dense("".join(seen)) == expected or (captions and set(_dense("".join(seen))) == set(expected))

    check()


@protocols
def test_tags_typed_by_the_user_are_harmless(name: str) -> None:
    grammar = _protocol(name).grammar

    @quick
    @given(_outputs(name))
    def check(typed: str) -> None:
        escaped = grammar.escape(typed)
        assert grammar.read(escaped).draws == ()
        assert not grammar.whole.search(escaped)
        assert "<|im_end|>" not in escaped
        assert grammar.escape(escaped) == escaped
        assert len(escaped) == len(typed)

    check()


def _draw(prompt: str, action: str = "draw", index: int | None = None) -> DrawSegment:
    return DrawSegment(prompt, action, index)


@pytest.mark.parametrize(
    ("name", "raw", "segments"),
    [
        ("dialoggen", "Foxes eat mice.", (TextSegment("Foxes eat mice."),)),
        ("dialoggen", "<draw>A fox</draw>Here.", (_draw("A fox"), TextSegment("Here."))),
        ("dialoggen", "<draw>A fox, the style\nis cartoon", (_draw("A fox, the style\nis cartoon"),)),
        ("dialoggen", "<画图>一只狐狸", (_draw("一只狐狸"),)),
        ("dialoggen", "<画图>一只狐狸</画图>画好了", (_draw("一只狐狸"), TextSegment("画好了"))),
        ("dialoggen", "Sure: < DRAW >A fox</ Draw >", (TextSegment("Sure:"), _draw("A fox"))),
        ("dialoggen", "<draw>A fox\n<draw>A hen</draw>ok", (_draw("A fox"), _draw("A hen"), TextSegment("ok"))),
        ("dialoggen", "<draw><draw>A fox</draw></draw>ok", (_draw("A fox"), TextSegment("ok"))),
        ("dialoggen", "</draw>ok<draw> </draw>", (TextSegment("ok"),)),
        ("dialoggen", "<draw>A fox</dra", (_draw("A fox"),)),
        ("dialoggen", "Wait <dra", (TextSegment("Wait"),)),
        ("dialoggen", "2 <", (TextSegment("2 <"),)),
        ("mini_dalle3", "<image> a dog </image>", (_draw("a dog"),)),
        ("mini_dalle3", "So <edit> a dog </image>!", (TextSegment("So"), _draw("a dog", "edit"), TextSegment("!"))),
        ("mini_dalle3", '<edit id="3" prev_id="2">a dog</edit>', (_draw("a dog", "edit", 2),)),
        ("mini_dalle3", '<select id="9"> 7 </select>This one', (TextSegment("This one"),)),
        ("mini_dalle3", "<refine>a dog, sharper</refine>", (_draw("a dog, sharper", "edit"),)),
        ("mini_dalle3", "One <image>a</image> two <image>b</image>",
         (TextSegment("One"), _draw("a"), TextSegment("two"), _draw("b"))),
        ("seed_llama", "A dog: <img><img_00012><img_08191></img> Fine?",
         (TextSegment("A dog:"), _draw("A dog:"), TextSegment("Fine?"))),
        ("seed_llama", "<img><img_00012><img_00013></img>", (_draw(""),)),
        ("seed_llama", "<img>a dog</img>", (_draw("a dog"),)),
        ("seed_llama", "<img><img_00012> Here it is", (_draw(""), TextSegment("Here it is"))),
        ("next_gpt", "A dog runs. [IMG0] [IMG1] [IMG2] [IMG3]", (TextSegment("A dog runs."), _draw("A dog runs."))),
        ("next_gpt", "A dog [IMG0][IMG1] and a cat [IMG0][IMG1] ok",
         (TextSegment("A dog"), _draw("A dog"), TextSegment("and a cat"), _draw("and a cat"), TextSegment("ok"))),
        ("next_gpt", "A film [VID0] [VID1]", (TextSegment("A film"),)),
        ("next_gpt", "[IMG0] [IMG1]", (_draw(""),)),
        ("next_gpt", "A dog <image_00> <image_01>", (TextSegment("A dog"), _draw("A dog"))),
    ],
)  # fmt: skip
def test_spellings(name: str, raw: str, segments: tuple[Segment, ...]) -> None:
    assert _segments(name, raw) == segments


@protocols
def test_halves_left_by_a_dropped_tag_do_not_join(name: str) -> None:
    closer = {"dialoggen": "</draw>", "mini_dalle3": "</image>", "seed_llama": "</img>", "next_gpt": "[VID0]"}[name]
    opener = {"dialoggen": "<draw>", "mini_dalle3": "<image>", "seed_llama": "<img>", "next_gpt": "[IMG0]"}[name]
    for cut in range(1, len(opener)):
        visible, reply = _read(name, [opener[:cut] + closer + opener[cut:] + "rest"])
        assert reply.draws == ()
        assert visible.replace(JOINT, "") == opener + "rest"
        assert opener not in visible


@protocols
def test_a_megabyte_of_near_tags_is_read_in_one_piece_and_in_many(name: str) -> None:
    raw = "<dra[IM< " * 40_000 + "<" + " " * 200_000 + "end"
    visible, reply = _read(name, [raw])
    chunked = _read(name, [raw[i : i + 4096] for i in range(0, len(raw), 4096)])
    assert chunked == (visible, reply)
    assert visible == raw
