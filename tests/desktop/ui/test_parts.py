"""Panels one by one: canvas, filmstrip, text, inspector rows, images, composer."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QColor, QImage, QPixmap, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from desktop.store.records import PictureRecord
from desktop.ui import progress_words
from desktop.ui.canvas import Canvas
from desktop.ui.composer import Composer
from desktop.ui.filmstrip import Filmstrip
from desktop.ui.images import Images, read_scaled
from desktop.ui.inspector_rows import split_prompt
from desktop.ui.text_block import TextBlock
from models.contracts import GenerationSpec, PromptTokens


def _pixmap(width: int, height: int, color: str = "red") -> QPixmap:
    pixmap = QPixmap(width, height)
    pixmap.fill(QColor(color))
    return pixmap


@pytest.fixture
def canvas(qapp: QApplication) -> Canvas:
    made = Canvas()
    made.resize(600, 400)
    made.show()
    return made


def test_canvas_fits_and_zooms(canvas: Canvas) -> None:
    canvas.show_picture(_pixmap(1000, 500))
    assert canvas.zoom == pytest.approx(552 / 1000, rel=0.01)
    canvas.actual_size()
    assert canvas.zoom * canvas.devicePixelRatioF() == pytest.approx(1)
    assert canvas.bar.percent.text() == "100%"
    QTest.mouseClick(canvas.bar.full, Qt.MouseButton.LeftButton)
    assert canvas.zoom == pytest.approx(552 / 1000, rel=0.01)
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    assert canvas.zoom == pytest.approx(1.25 * 552 / 1000, rel=0.01)


def test_wheel_zooms_around_the_cursor(canvas: Canvas) -> None:
    canvas.show_picture(_pixmap(1000, 800))
    at = QPointF(200, 150)
    canvas.actual_size()
    QTest.mouseMove(canvas.viewport(), at.toPoint())
    before = canvas.mapToScene(at.toPoint())
    none, no_phase = Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    place = QPointF(canvas.viewport().mapToGlobal(at.toPoint()))
    wheel = QWheelEvent(at, place, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, none, no_phase, False)
    QApplication.sendEvent(canvas.viewport(), wheel)
    after = canvas.mapToScene(at.toPoint())
    assert canvas.zoom == pytest.approx(1.25)
    assert (after - before).manhattanLength() < 3


def test_dragging_pans(canvas: Canvas) -> None:
    canvas.show_picture(_pixmap(2000, 2000))
    canvas.actual_size()
    canvas.centerOn(1000, 1000)
    before = canvas.mapToScene(QPoint(300, 200))
    port = canvas.viewport()
    QTest.mousePress(port, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    QTest.mouseMove(port, QPoint(340, 230))
    QTest.mouseRelease(port, Qt.MouseButton.LeftButton, pos=QPoint(340, 230))
    moved = canvas.mapToScene(QPoint(300, 200)) - before
    assert (moved.x(), moved.y()) == pytest.approx((-40, -30), abs=2)


def test_a_preview_fills_the_final_size(canvas: Canvas) -> None:
    canvas.show_preview(_pixmap(64, 32), QSize(1024, 512), 0.25, "Painting 1 of 4")
    whole = canvas.scene().items()[0].sceneBoundingRect()
    assert (whole.width(), whole.height()) == (1024, 512)
    assert canvas.progress.isVisible() and canvas.progress.words.text() == "Painting 1 of 4"
    canvas.show_picture(_pixmap(1024, 512, "blue"))
    whole = canvas.scene().items()[0].sceneBoundingRect()
    assert (whole.width(), whole.height()) == (1024, 512) and not canvas.progress.isVisible()


def test_text_loads_nothing(qapp: QApplication, tmp_path: Path) -> None:
    picture = tmp_path / "secret.png"
    _pixmap(8, 8).save(str(picture))
    asked: list[str] = []

    class Watched(TextBlock):
        def loadResource(self, kind: int, name: Any) -> object:
            asked.append(name.toString() if isinstance(name, QUrl) else str(name))
            return super().loadResource(kind, name)

    block = Watched()
    block.show_markdown(f"![x]({picture.as_uri()}) ![y](http://example.invalid/y.png) <img src='{picture.as_uri()}'>")
    block.resize(300, 100)
    block.grab()
    assert picture.as_uri() in asked
    for url in (picture.as_uri(), "http://example.invalid/y.png"):
        assert block.document().resource(2, QUrl(url)).size() == QSize(1, 1), "not the file's own 8 × 8"


def test_streaming_then_markdown(qapp: QApplication) -> None:
    block = TextBlock()
    block.resize(300, 20)
    block.show()
    for piece in ("A fox **eats", "** mice.\n\n", "- one\n- two"):
        block.stream(piece)
    assert block.toPlainText() == "A fox **eats** mice.\n\n- one\n- two"
    block.show_markdown("A fox **eats** mice.\n\n- one\n- two")
    assert block.toPlainText() == "A fox eats mice.\none\ntwo"
    assert block.height() >= 3 * block.fontMetrics().height()


def test_prompt_is_split_where_it_was_cut() -> None:
    tokens = PromptTokens(("a", "red", "fox"), ("in", "snow"), 5)
    assert split_prompt("a red  fox in snow", tokens) == ("a red  fox", "in snow")
    chinese = PromptTokens(("一只", "红", "狐狸"), ("在", "雪地里"), 5)
    assert split_prompt("一只红狐狸在雪地里", chinese) == ("一只红狐狸", "在雪地里")
    assert split_prompt("a fox", PromptTokens(("a", "fox"), (), 5)) == ("a fox", "")
    assert split_prompt("", PromptTokens((), ("x",), 5)) == ("", "x")


def test_images_are_read_in_the_background(qapp: QApplication, until: Any, tmp_path: Path) -> None:
    file, broken = tmp_path / "a.png", tmp_path / "b.png"
    _pixmap(400, 200).save(str(file))
    broken.write_bytes(b"nothing")
    images, threads = Images(), []
    assert images.get(str(file), 100) is None
    assert images.get(str(broken), 100) is None
    images.ready.connect(lambda *_: threads.append(threading.current_thread() is threading.main_thread()))
    until(lambda: len(threads) == 2)
    assert threads == [True, True]
    pixmap, none = images.get(str(file), 100), images.get(str(broken), 100)
    assert pixmap is not None and (pixmap.width(), pixmap.height()) == (100, 50)
    assert none is not None and none.isNull()
    images.wait()


def test_reading_never_enlarges(qapp: QApplication, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    _pixmap(40, 20).save(str(file))
    assert read_scaled(str(file), 100).width() == 40


def _records(count: int, folder: Path) -> list[PictureRecord]:
    spec = GenerationSpec("a fox", 1, 64, 64, 3, 4.0, "ddim")
    tokens = PromptTokens((), (), 77)
    one = PictureRecord("0" * 64, str(folder / "none.png"), "t", "s", 0, 1, 64, 64, 0.0, spec, (), tokens, 0.1)
    return [replace(one, number=i + 1) for i in range(count)]


def test_a_filmstrip_of_thousands(qapp: QApplication, tmp_path: Path) -> None:
    strip = Filmstrip()
    strip.show_images(Images(strip))
    strip.resize(600, strip.height())
    strip.show_pictures(_records(5000, tmp_path))
    assert strip.uniformItemSizes() and strip.strip.rowCount() == 5000
    strip.show_chosen(4999)
    assert strip.currentIndex().row() == 4998
    chosen: list[int] = []
    strip.chosen.connect(chosen.append)
    QTest.keyClick(strip, Qt.Key.Key_Right)
    assert chosen == [5000]


def test_enter_sends_and_shift_enter_does_not(qapp: QApplication, tmp_path: Path) -> None:
    composer = Composer(tmp_path)
    sent: list[tuple[Any, ...]] = []
    composer.sent.connect(lambda *words: sent.append(words))
    QTest.keyClick(composer.edit, Qt.Key.Key_Return)
    assert sent == [] and not composer.send.isEnabled()
    QTest.keyClicks(composer.edit, "one")
    QTest.keyClick(composer.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(composer.edit, "two")
    assert sent == []
    QTest.keyClick(composer.edit, Qt.Key.Key_Enter)
    assert sent == [("one\ntwo", (), "auto")] and composer.text == ""


def test_time_left_in_words() -> None:
    assert progress_words.time_left(0.4) == "a moment left"
    assert progress_words.time_left(12.3) == "12 s left"
    assert progress_words.time_left(200) == "3 min left"


def test_a_scaled_screen_keeps_icons_sharp(qapp: QApplication) -> None:
    from desktop.ui import icons

    assert icons.glyph("plus", "text", 20, 2.0).width() == 40


def test_gui_thread_is_free_while_a_large_picture_is_read(
    qapp: QApplication, until: Callable[..., None], tmp_path: Path
) -> None:
    file = tmp_path / "large.png"
    image = QImage(3000, 3000, QImage.Format.Format_RGB32)
    image.fill(QColor("teal"))
    image.save(str(file))
    images = Images()
    begun = time.perf_counter()
    assert images.get(str(file)) is None
    asked = time.perf_counter() - begun
    until(lambda: images.get(str(file)) is not None)
    read = time.perf_counter() - begun
    assert asked < read
    images.wait()
