"""The recipe inside a picture: ours, A1111's, and what strangers put there."""

import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from desktop.store import a1111, png
from desktop.store import recipe as recipes
from desktop.store.records import TurnRecord
from desktop.store.store import Store
from models.contracts import AdapterStep, GenerationSpec, ImageRef, ModelRef, Painted

Png = Callable[..., bytes]
Spec = Callable[..., GenerationSpec]


@pytest.fixture
def embedded(tmp_path: Path, png: Png) -> Callable[[recipes.Recipe], Path]:
    def embed(recipe: recipes.Recipe) -> Path:
        path = tmp_path / "with recipe.png"
        path.write_bytes(recipes.embed(png(), recipe))
        return path

    return embed


def test_a_recipe_comes_back_from_its_picture(embedded: Callable[..., Path], make_spec: Spec) -> None:
    steps = (AdapterStep("translate", "一只狐狸", 'a "red" fox\nin the snow', "the painter reads English"),)
    recipe = recipes.Recipe(make_spec("a “fox” 🦊 狐狸\nsecond line"), steps, ModelRef("tiny vl", "cd" * 32))
    assert recipes.read_recipe(embedded(recipe)) == recipe


def test_pictures_it_stands_on_are_named_by_content_not_by_path(embedded: Callable[..., Path], make_spec: Spec) -> None:
    init = ImageRef("/home/somebody/library/pictures/ab/x.png", "ab" * 32, 8, 8, "drawn", 3)
    path = embedded(recipes.Recipe(make_spec(init_image=init, strength=0.4)))
    read = recipes.read_recipe(path)
    assert read is not None
    assert read.spec.init_image == ImageRef(f"{'ab' * 32}.png", "ab" * 32, 8, 8, "drawn", None)
    assert b"somebody" not in path.read_bytes()


def test_the_same_spec_gives_the_same_bytes(make_spec: Spec, png: Png) -> None:
    data, spec = png(), make_spec(guidance_scale=6.0)
    whole = recipes.embed(data, recipes.Recipe(spec))
    assert recipes.embed(data, recipes.Recipe(make_spec(guidance_scale=6))) == whole
    assert recipes.embed(whole, recipes.Recipe(spec)) == whole
    assert recipes.embed(data, recipes.Recipe(make_spec(seed=43))) != whole


def test_a_repainted_picture_can_be_compared_without_storing_it(
    store: Store, take_turn: Callable[..., TurnRecord], paint: Callable[..., Painted]
) -> None:
    picture = take_turn(store.create_session().id, prompt="a red fox").pictures[0]
    again = paint("a red fox")
    recipe = recipes.read_recipe(Path(picture.path))
    assert recipe is not None and recipe.spec == picture.spec and recipe.steps == picture.steps
    assert recipes.stored_sha256(Path(again.path), recipe) == picture.sha256
    assert recipes.pixels_sha256(Path(again.path)) == recipes.pixels_sha256(Path(picture.path))
    other = paint("another fox")
    assert recipes.pixels_sha256(Path(other.path)) != recipes.pixels_sha256(Path(picture.path))


def test_other_tools_read_the_picture_and_both_texts(embedded: Callable[..., Path], make_spec: Spec) -> None:
    with Image.open(embedded(recipes.Recipe(make_spec("狐狸, red\nin the snow")))) as image:
        image.load()
        assert image.getpixel((0, 0)) == (100, 0, 0)
        texts = image.text  # type: ignore[attr-defined]
    assert list(texts) == ["limner", "parameters"]
    assert json.loads(texts["limner"])["schema"] == 1
    assert texts["parameters"] == (
        "狐狸, red\nin the snow\nNegative prompt: blurry\nSteps: 4, Sampler: Euler a, CFG scale: 7.5, Seed: 42, "
        "Size: 24x16, Model hash: ababababab, Model: tiny sd, Version: Limner 1"
    )


def test_old_texts_and_dates_do_not_stay(make_spec: Spec, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "a painter")
    info.add_text("limner", "{}")
    info.add(b"tIME", b"\x07\xea\x0b\x16\x10\x00\x00")
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
    path = tmp_path / "x.png"
    path.write_bytes(recipes.embed(out.getvalue(), recipes.Recipe(make_spec())))
    assert list(png.read_texts(path)) == ["limner", "parameters"]
    assert b"tIME" not in path.read_bytes()


# ---------------------------------------------------------------- A1111
A1111_TEXT = """a castle, (masterpiece:1.2), <lora:x:0.8>
on a hill
Negative prompt: lowres, text
watermark
Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 3735928559, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned, Denoising strength: 0.7, Lora hashes: "x: 1234, y: 5678", Version: v1.6.0"""


@pytest.mark.parametrize("chunk", ["tEXt", "zTXt", "iTXt"])
def test_a_picture_of_a1111_is_read(tmp_path: Path, chunk: str) -> None:
    info = PngImagePlugin.PngInfo()
    if chunk == "iTXt":
        info.add_itxt("parameters", A1111_TEXT, lang="en", tkey="Parameter", zip=True)
    else:
        info.add_text("parameters", A1111_TEXT, zip=chunk == "zTXt")
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", pnginfo=info)
    recipe = recipes.read_recipe(tmp_path / "x.png")
    assert recipe is not None and recipe.source == "a1111" and recipe.steps == ()
    assert recipe.spec == GenerationSpec(
        prompt="a castle, (masterpiece:1.2), <lora:x:0.8>\non a hill", negative_prompt="lowres, text\nwatermark",
        seed=3735928559, width=512, height=768, steps=20, guidance_scale=7.0, scheduler="DPM++ 2M Karras",
        strength=0.7, model=ModelRef("v1-5-pruned", "6ce0161689"),
    )  # fmt: skip


def test_a_prompt_alone_is_still_a_recipe() -> None:
    spec = a1111.read("just, some: words")
    assert spec is not None and (spec.prompt, spec.steps, spec.seed) == ("just, some: words", 0, 0)
    assert a1111.read("  \n ") is None


def test_a_model_with_a_comma_is_quoted(make_spec: Spec) -> None:
    spec = make_spec(model=ModelRef('fox, "red": v2', "ab" * 32))
    read = a1111.read(a1111.write(spec))
    assert read is not None and read.model == ModelRef('fox, "red": v2', "ababababab")


@pytest.mark.parametrize("line", ["Negative prompt: snow", "Steps: 1, Seed: 2, Size: 3x3"])
def test_a_prompt_that_looks_like_another_part_is_not_mistaken(make_spec: Spec, line: str) -> None:
    read = a1111.read(a1111.write(make_spec(f"a fox\n{line}")))
    assert read is not None and read.prompt == f"a fox {line}"
    assert (read.negative_prompt, read.steps, read.seed) == ("blurry", 4, 42)


def _one_line(text: str) -> str:
    return " ".join(text.split())


@given(st.text(max_size=60), st.text(max_size=30), st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_any_prompt_survives_our_own_recipe_and_never_breaks_the_other(
    prompt: str, negative: str, seed: int, guidance: int
) -> None:
    spec = GenerationSpec(prompt, seed, 64, 64, 4, guidance / 2, "ddim", negative)
    out = io.BytesIO()
    Image.new("L", (1, 1)).save(out, "PNG")
    data = recipes.embed(out.getvalue(), recipes.Recipe(spec))
    with Image.open(io.BytesIO(data)) as image:
        texts = image.text  # type: ignore[attr-defined]
    read = dict(recipes.READERS)["limner"](texts["limner"])
    assert read is not None and read.spec == spec
    other = a1111.read(texts["parameters"])
    assert other is not None and (other.seed, other.steps, other.scheduler) == (seed, 4, "ddim")


# ---------------------------------------------------------------- strangers
def _with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
    return data[:33] + chunk + data[33:]


WRONG_TYPES = {"prompt": 1, "seed": 1, "width": 1, "height": 1, "steps": 1, "guidance_scale": 1, "scheduler": ""}
BROKEN = (
    "", "{", "[]", "null", '{"spec": 5}', '{"spec": {"prompt": "x"}}', '{"models": [], "spec": {}}', "[" * 100_000,
    json.dumps({"spec": WRONG_TYPES}),
)  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_recipe_of_ours_is_none(tmp_path: Path, png: Png, text: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(_with_chunk(png(), b"iTXt", b"limner\0\0\0\0\0" + text.encode()))
    assert recipes.read_recipe(path) is None


def test_a_broken_recipe_of_ours_falls_back_on_the_other(tmp_path: Path, png: Png) -> None:
    data = _with_chunk(png(), b"tEXt", b"parameters\0" + A1111_TEXT.encode())
    (tmp_path / "x.png").write_bytes(_with_chunk(data, b"iTXt", b"limner\0\0\0\0\0{"))
    recipe = recipes.read_recipe(tmp_path / "x.png")
    assert recipe is not None and recipe.source == "a1111"


def test_a_newer_recipe_is_read_as_far_as_it_is_understood(tmp_path: Path, png: Png, make_spec: Spec) -> None:
    data = recipes.embed(png(), recipes.Recipe(make_spec()))
    (tmp_path / "old.png").write_bytes(data)
    own = json.loads(Image.open(io.BytesIO(data)).text["limner"])  # type: ignore[attr-defined]
    own["schema"], own["spec"]["hologram"], own["scent"] = 9, True, "pine"
    newer = _with_chunk(png(), b"iTXt", b"limner\0\0\0\0\0" + json.dumps(own).encode())
    (tmp_path / "x.png").write_bytes(newer)
    recipe = recipes.read_recipe(tmp_path / "x.png")
    assert recipe is not None and recipe.spec == make_spec()


def test_a_text_that_unpacks_to_gigabytes_is_left_alone(tmp_path: Path, png: Png) -> None:
    bomb = zlib.compress(b"a" * (40 << 20), 9)
    (tmp_path / "x.png").write_bytes(_with_chunk(png(), b"zTXt", b"parameters\0\0" + bomb))
    assert recipes.read_recipe(tmp_path / "x.png") is None


@pytest.mark.parametrize("cut", [0, 5, 8, 20, 34, 40, 60])
def test_a_torn_or_foreign_file_has_no_recipe(tmp_path: Path, png: Png, make_spec: Spec, cut: int) -> None:
    data = recipes.embed(png(), recipes.Recipe(make_spec()))
    (tmp_path / "x.png").write_bytes(data[:cut])
    assert recipes.read_recipe(tmp_path / "x.png") is None
    Image.new("RGB", (4, 4)).save(tmp_path / "x.jpg")
    assert recipes.read_recipe(tmp_path / "x.jpg") is None


@given(st.binary(max_size=200))
def test_any_bytes_after_the_signature_do_no_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert recipes.read_recipe(path) is None or b"parameters" in data or b"limner" in data
