"""Pictures from outside: made plain, or refused in a sentence."""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from desktop.store import pictures
from desktop.store.records import TurnRecord
from desktop.store.store import Store
from models.contracts import BadInputError, ImageRef

Png = Callable[..., bytes]


def _save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def _opened(ref: ImageRef) -> Image.Image:
    with Image.open(ref.path) as image:
        image.load()
        return image


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff"])
def test_common_formats_become_plain_png(store: Store, tmp_path: Path, suffix: str) -> None:
    source = _save(tmp_path / f"in.{suffix}", Image.new("RGB", (20, 10), (200, 30, 30)))
    ref = store.import_picture(source)
    image = _opened(ref)
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (20, 10))
    assert (ref.width, ref.height, ref.source, ref.number) == (20, 10, "upload", None)
    assert Path(ref.path).is_relative_to(store.root / "uploads") and Path(ref.path).stem == ref.sha256
    assert source.is_file() and store.verify() == []


def test_the_same_picture_twice_is_one_file(store: Store, tmp_path: Path, png: Png) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png())
    assert store.import_picture(tmp_path / "a.png") == store.import_picture(tmp_path / "b.png")
    assert len(list(store.root.glob("uploads/*/*"))) == 1


def test_a_photograph_is_turned_upright_and_says_nothing_of_its_place(store: Store, tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20), (0, 0, 250))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    exif[0x010E] = "my house"
    ref = store.import_picture(_save(tmp_path / "photo.jpg", image, exif=exif))
    assert (ref.width, ref.height) == (20, 30)
    assert b"my house" not in Path(ref.path).read_bytes() and _opened(ref).info == {}


def test_colour_profiles_and_texts_do_not_change_the_content(store: Store, tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (9, 8, 7))
    plain = store.import_picture(_save(tmp_path / "plain.png", image))
    assert store.import_picture(_save(tmp_path / "icc.png", image, icc_profile=b"profile", dpi=(72, 72))) == plain


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 90, ("RGB", (90, 90, 90))),
        ("1", 1, ("RGB", (255, 255, 255))),
        ("LA", (90, 10), ("RGBA", (90, 90, 90, 10))),
        ("RGBA", (1, 2, 3, 4), ("RGBA", (1, 2, 3, 4))),
        ("I;16", 257 * 128, ("RGB", (128, 128, 128))),
    ],
)
def test_colour_modes(
    store: Store, tmp_path: Path, png: Png, mode: str, colour: object, expected: tuple[str, object]
) -> None:
    (tmp_path / "in.png").write_bytes(png(mode, colour=colour))
    image = _opened(store.import_picture(tmp_path / "in.png"))
    assert (image.mode, image.getpixel((0, 0))) == expected


def test_palettes_and_printing_colours(store: Store, tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    image = _opened(store.import_picture(_save(tmp_path / "p.png", palette)))
    assert (image.mode, image.getpixel((0, 0))) == ("RGB", (10, 20, 30))
    image = _opened(store.import_picture(_save(tmp_path / "t.png", palette, transparency=bytes([255, 0]))))
    assert (image.mode, image.getpixel((0, 0))) == ("RGBA", (10, 20, 30, 0))
    assert _opened(store.import_picture(_save(tmp_path / "c.jpg", Image.new("CMYK", (4, 4))))).mode == "RGB"


def test_the_first_frame_of_an_animation(store: Store, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    path = _save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert _opened(store.import_picture(path)).getpixel((0, 0)) == (255, 0, 0)


# ---------------------------------------------------------------- our own
def test_a_drawn_picture_is_not_copied(store: Store, take_turn: Callable[..., TurnRecord]) -> None:
    session, other = store.create_session(), store.create_session()
    picture = take_turn(session.id).pictures[0]
    path = Path(picture.path)
    assert store.import_picture(path, session.id) == picture.ref()
    assert store.import_picture(path, other.id).number is None
    assert store.import_picture(path).source == "drawn"
    assert list(store.root.glob("uploads/*/*")) == []


# ---------------------------------------------------------------- bad input
def _header_only(width: int, height: int) -> bytes:
    """A grey PNG that promises pixels it does not have."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 1000) + b"IDAT" + zlib.compress(b"\0" * 1000)


def _refused(store: Store, path: Path, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason) as raised:
        store.import_picture(path)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")
    assert list(store.root.glob("uploads/*/*")) == [] and list(store.tmp.iterdir()) == []


def test_a_picture_of_20000_by_20000_is_refused_before_it_is_decoded(store: Store, tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(_header_only(20_000, 20_000))
    _refused(store, tmp_path / "huge.png", "more than 100 million pixels")


def test_the_limit_is_ours_not_pillows(store: Store, tmp_path: Path) -> None:
    (tmp_path / "over.png").write_bytes(_header_only(10_001, 10_000))
    _refused(store, tmp_path / "over.png", "more than 100 million pixels")
    (tmp_path / "under.png").write_bytes(_header_only(10_000, 9_900))  # Pillow would warn here
    _refused(store, tmp_path / "under.png", "damaged")


def test_a_huge_file_is_refused_before_it_is_read(
    store: Store, tmp_path: Path, png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    (tmp_path / "in.png").write_bytes(png())
    _refused(store, tmp_path / "in.png", "make it smaller")


def test_a_real_picture_of_many_pixels_is_taken(store: Store, tmp_path: Path) -> None:
    ref = store.import_picture(_save(tmp_path / "wide.png", Image.new("1", (20_000, 300))))
    assert (ref.width, ref.height) == (20_000, 300)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tiff"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.6, 0.95])
def test_truncated_pictures(store: Store, tmp_path: Path, suffix: str, part: float) -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    whole = _save(tmp_path / f"whole.{suffix}", noise).read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(whole[: int(part * len(whole))])
    if suffix == "gif" and part > 0.9:  # only the end mark and some pixels less: decodes, and is taken
        return
    _refused(store, tmp_path / f"cut.{suffix}", "not a picture Limner can read|damaged")


def test_what_is_no_picture(store: Store, tmp_path: Path, png: Png) -> None:
    (tmp_path / "words.png").write_text("a red fox")
    _refused(store, tmp_path / "words.png", "not a picture Limner can read")
    (tmp_path / "vector.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    _refused(store, tmp_path / "vector.svg", "not a picture Limner can read")
    (tmp_path / "page.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    _refused(store, tmp_path / "page.eps", "not a picture Limner can read")
    broken = bytearray(png(size=(64, 64)))
    broken[60] ^= 0xFF
    (tmp_path / "bits.png").write_bytes(bytes(broken))
    _refused(store, tmp_path / "bits.png", "damaged")


def test_what_is_not_there(store: Store, tmp_path: Path) -> None:
    _refused(store, tmp_path / "nothing.png", "There is no picture")
    _refused(store, tmp_path, "is a folder")
    _refused(store, tmp_path / "a\0b.png", "cannot be read")


def test_no_warning_filter_is_left_changed_by_threads(store: Store, tmp_path: Path) -> None:
    before = list(warnings.filters)
    paths = [_save(tmp_path / f"{n}.png", Image.effect_noise((40, 40), n + 1.0)) for n in range(6)]
    threads = [threading.Thread(target=store.import_picture, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before and len(list(store.root.glob("uploads/*/*"))) == 6


def test_the_encoder_is_deterministic(tmp_path: Path) -> None:
    path = _save(tmp_path / "n.png", Image.effect_noise((50, 50), 60))
    assert pictures.normalise(path) == pictures.normalise(path)
    with Image.open(io.BytesIO(pictures.normalise(path).data)) as image:
        assert image.size == (50, 50)
