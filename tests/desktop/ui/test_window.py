"""The window as a whole: talking, drawing, looking, failing, coming back."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, QUrl
from PySide6.QtGui import QColor, QImage, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QToolButton, QWidget

from desktop.ui.parts import Fault
from models.contracts import StoreError, WorkerDiedError
from models.mllm.fake import ScriptedMllm
from models.t2i.fake import ScriptedT2I

FOX = "<draw>A red fox, the background is snow, the style is watercolor"
NIGHT = "<draw>A red fox, the background is snow at night, the style is watercolor"
EATS = "A fox eats **mice** and berries.\n\n- mice\n- berries"

Window = Callable[..., Any]


def test_words_and_pictures(open_window: Window, say: Any, until: Any) -> None:
    limner = open_window(FOX, NIGHT, EATS)
    panels, session = limner.panels, limner.studio.session
    for text in ("Draw a red fox in the snow", "now at night", "what does a fox eat?"):
        say(limner, text)
    assert [t.state for t in session.branch] == ["done"] * 3
    assert [p.number for p in session.pictures] == [1, 2]
    views = panels.chat.views
    assert views[2].said() == "A fox eats mice and berries.\nmice\nberries"
    assert all("<draw>" not in view.said() for view in views)
    assert panels.filmstrip.strip.rowCount() == 2
    until(lambda: panels.canvas.pixmap.toImage() == _image(session.pictures[1].path))
    assert panels.title_bar.title.text() == "Draw a red fox in the snow"
    assert panels.sessions.rows.rowCount() == 1


def test_nothing_flashes_up_as_a_window_of_its_own(open_window: Window, say: Any, qapp: QApplication) -> None:
    class Shown(QObject):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[QWidget] = []

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                self.seen.append(watched)
            return False

    limner, shown = open_window(FOX, EATS), Shown()
    qapp.installEventFilter(shown)
    say(limner, "a fox")
    say(limner, "what does it eat?")
    QTest.keySequence(limner.window, QKeySequence("Ctrl+I"))
    qapp.removeEventFilter(shown)
    assert shown.seen == []


def _image(path: str) -> QImage:
    return QImage(path).convertToFormat(QImage.Format.Format_RGB32)


def test_choosing_a_picture_shows_it_everywhere(open_window: Window, say: Any, until: Any) -> None:
    limner = open_window(FOX, NIGHT)
    panels, session = limner.panels, limner.studio.session
    say(limner, "a fox")
    limner.studio.session.set_seed(7)
    say(limner, "at night")
    panels.canvas.setFocus()
    QTest.keyClick(limner.window, Qt.Key.Key_1)
    until(lambda: session.chosen_picture == 1)
    until(lambda: panels.canvas.pixmap.toImage() == _image(session.pictures[0].path))
    assert panels.filmstrip.currentIndex().row() == 0
    QTest.mouseClick(panels.chat.views[1].pictures[0].frame, Qt.MouseButton.LeftButton)
    until(lambda: session.chosen_picture == 2)
    assert panels.filmstrip.currentIndex().row() == 1


def test_inspector_shows_what_was_kept(open_window: Window, say: Any) -> None:
    painter = ScriptedT2I(limit=4)
    limner = open_window(FOX, t2i=painter)
    say(limner, "Draw a red fox")
    QTest.keySequence(limner.window, QKeySequence("Ctrl+I"))
    inspector, turn = limner.panels.inspector, limner.studio.session.branch[0]
    assert limner.panels.inspector_shown
    text = "\n\n".join(section.text() for section in inspector.sections)
    spec = turn.pictures[0].spec
    for wanted in (turn.text, FOX, "0.5000", "A red fox, the", spec.scheduler, str(spec.seed), "64 × 64 px",
                   spec.backend, spec.dtype, turn.mllm.sha256, turn.t2i.sha256, turn.pictures[0].sha256):  # fmt: skip
        assert wanted in text
    assert painter.specs[0].prompt.startswith("A red fox, the background")
    assert "left out: background is snow, the style is watercolor" in text
    QTest.mouseClick(inspector.copy, Qt.MouseButton.LeftButton)
    assert limner.app.clipboard().text() == text
    QTest.keySequence(limner.window, QKeySequence("Ctrl+I"))
    assert not limner.panels.inspector_shown


def test_three_things_to_try(open_window: Window, until: Any) -> None:
    limner = open_window(FOX)
    buttons = limner.panels.chat.empty.buttons
    assert len(buttons) == 3 and limner.panels.chat.empty.isVisible()
    assert limner.panels.chat.empty.private.text() == "Everything stays on this machine."
    QTest.mouseClick(buttons[0], Qt.MouseButton.LeftButton)
    until(lambda: [t.state for t in limner.studio.session.branch] == ["done"])
    assert limner.studio.session.branch[0].text == buttons[0].text()
    assert not limner.panels.chat.empty.isVisible()


def test_the_window_is_there_before_the_engine(open_window: Window, scripted: Any, until: Any) -> None:
    gate = threading.Event()

    def slow() -> Any:
        gate.wait(10)
        return scripted(FOX)

    limner = open_window(factory=slow, awake=False)
    panels = limner.panels
    assert limner.window.isVisible() and panels.composer.edit.isEnabled()
    assert panels.title_bar.note.text() in ("Opening the library…", "Waking the director…")
    QTest.keyClicks(panels.composer.edit, "Draw a red fox")
    QTest.keyClick(panels.composer.edit, Qt.Key.Key_Return)
    assert [j.text for j in limner.studio.waiting] == ["Draw a red fox"]
    gate.set()
    until(lambda: limner.studio.session and [t.state for t in limner.studio.session.branch] == ["done"])
    assert limner.studio.session.branch[0].text == "Draw a red fox"


def test_a_worker_that_dies_costs_no_words(open_window: Window, say: Any, until: Any) -> None:
    painter = ScriptedT2I(fault=WorkerDiedError("The painter stopped; try again."), fault_at=2)
    limner = open_window(FOX, FOX, t2i=painter)
    say(limner, "Draw a red fox")
    session, panels = limner.studio.session, limner.panels
    assert [t.state for t in session.branch] == ["failed"]
    fault = panels.chat.views[0].findChild(Fault)
    assert fault.sentence.text() == "The painter stopped; try again."
    assert "Traceback" not in fault.sentence.text()
    painter.fault = None
    QTest.mouseClick(fault.button, Qt.MouseButton.LeftButton)
    until(lambda: [t.state for t in session.branch] == ["done"])
    assert session.branch[0].text == "Draw a red fox"
    assert session.branch[0].seed == session.store.turns(session.current.id)[0].seed
    assert len(session.store.turns(session.current.id)) == 2, "the failed turn stays in the tree"


def test_a_message_the_store_cannot_take_comes_back(
    open_window: Window, say: Any, until: Any, monkeypatch: Any
) -> None:
    limner = open_window(FOX)
    panels, store = limner.panels, limner.studio.session.store
    full = StoreError("The disk is full: make room and try again.")
    monkeypatch.setattr(store, "begin_turn", lambda *_: (_ for _ in ()).throw(full))
    say(limner, "Draw a red fox", wait=False)
    until(lambda: panels.fault)
    assert panels.fault.sentence.text() == str(full)
    assert panels.composer.text == "Draw a red fox"
    monkeypatch.undo()
    QTest.mouseClick(panels.fault.button, Qt.MouseButton.LeftButton)
    until(lambda: [t.state for t in limner.studio.session.branch] == ["done"])
    assert panels.composer.text == "" and panels.fault is None


def test_a_library_that_cannot_be_opened(open_window: Window, scripted: Any, until: Any) -> None:
    answers: list[Any] = [StoreError("Another Limner is using this library: close it first."), None]

    def locked() -> Any:
        error = answers.pop(0)
        if error:
            raise error
        return scripted(FOX)

    limner = open_window(factory=locked, awake=False)
    until(lambda: limner.panels.fault)
    assert limner.panels.fault.sentence.text().startswith("Another Limner")
    QTest.keyClicks(limner.panels.composer.edit, "still here")
    QTest.mouseClick(limner.panels.fault.button, Qt.MouseButton.LeftButton)
    until(lambda: limner.studio.session is not None)
    assert limner.panels.fault is None
    assert limner.panels.composer.text == "still here"


class _Stuck(ScriptedMllm):
    """Writes slowly until it is stopped."""

    def _events(self, request: Any, cancelled: Callable[[], bool] = lambda: False) -> Any:
        for event in super()._events(request, cancelled):
            yield event
            threading.Event().wait(0.01)


def test_esc_stops_and_the_next_message_goes_on(open_window: Window, say: Any, until: Any) -> None:
    limner = open_window(mllm=_Stuck(["word " * 400, "And on."], piece=2))
    session = limner.studio.session
    say(limner, "tell me a long story", wait=False)
    until(lambda: any(len(live.said) > 8 for live in session.live.values()))
    assert limner.panels.composer.stop.isVisible()
    say(limner, "and then?", wait=False)
    assert [j.text for j in limner.studio.waiting] == ["and then?"]
    QTest.keyClick(limner.window, Qt.Key.Key_Escape)
    until(lambda: [t.state for t in session.branch] == ["cancelled", "done"])
    assert limner.panels.chat.views[0].said().startswith("word")
    assert limner.panels.chat.views[1].said() == "And on."
    assert not limner.panels.composer.stop.isVisible()


def test_a_waiting_message_can_be_taken_back(open_window: Window, say: Any, until: Any) -> None:
    limner = open_window(mllm=_Stuck(["word " * 400], piece=2))
    session = limner.studio.session
    say(limner, "a long story", wait=False)
    until(lambda: any(live.said for live in session.live.values()))
    say(limner, "no, wait", wait=False)
    buttons = lambda: [b for b in limner.panels.chat.findChildren(QPushButton) if b.text() == "Take back"]  # noqa: E731
    until(lambda: any(b.isVisible() for b in buttons()))
    back = next(b for b in buttons() if b.isVisible())
    QTest.mouseClick(back, Qt.MouseButton.LeftButton)
    assert limner.panels.composer.text == "no, wait" and not limner.studio.waiting
    limner.studio.stop()
    until(lambda: not limner.studio.busy)


def test_sessions_are_kept_exactly(open_window: Window, say: Any, until: Any) -> None:
    limner = open_window(FOX, EATS, "Hello.")
    panels, session = limner.panels, limner.studio.session
    say(limner, "Draw a red fox")
    say(limner, "what does it eat?")
    before = [view.said() for view in panels.chat.views]
    QTest.keySequence(limner.window, QKeySequence("Ctrl+N"))
    assert session.current is None and panels.chat.empty.isVisible() and not panels.filmstrip.isVisible()
    say(limner, "hello")
    assert panels.sessions.rows.rowCount() == 2
    first = session.sessions()[1]
    session.switch(first.id)
    assert [view.said() for view in panels.chat.views] == before
    assert panels.filmstrip.strip.rowCount() == 1
    session.rename(first.id, "The fox")
    until(lambda: panels.title_bar.title.text() == "The fox")


def test_a_deleted_session_can_be_brought_back(open_window: Window, say: Any) -> None:
    limner = open_window("One.", "Two.")
    panels, session = limner.panels, limner.studio.session
    say(limner, "first")
    limner.wiring.new()
    say(limner, "second")
    doomed = session.current.id
    limner.wiring.delete(doomed)
    assert panels.sessions.rows.rowCount() == 1 and session.branch[0].text == "first"
    QTest.mouseClick(panels.toast.button, Qt.MouseButton.LeftButton)
    assert panels.sessions.rows.rowCount() == 2 and session.current.id == doomed
    limner.wiring.delete(doomed)
    limner.window.close()
    from desktop.store.store import Store

    with Store.open(session.store.root) as store:
        assert [s.title for s in store.sessions()] == ["first"]


def test_what_was_typed_survives_the_window(open_window: Window, scripted: Any) -> None:
    limner = open_window("One.")
    QTest.keyClicks(limner.panels.composer.edit, "half a thought")
    limner.window.close()
    again = open_window("One.")
    assert again.panels.composer.text == "half a thought"


def test_seed_lock_and_dice(open_window: Window, say: Any) -> None:
    limner = open_window(FOX, NIGHT, NIGHT)
    bar, session = limner.panels.seed, limner.studio.session
    bar.field.setText("4711")
    QTest.keyClick(bar.field, Qt.Key.Key_Return)
    assert session.seed == 4711 and session.seed_locked
    say(limner, "a fox")
    say(limner, "at night")
    assert [p.spec.seed for p in session.pictures] == [4711, 4711]
    QTest.mouseClick(bar.lock, Qt.MouseButton.LeftButton)
    assert not session.seed_locked
    say(limner, "again")
    assert session.pictures[2].spec.seed == session.seed != 4711
    assert bar.field.text() == str(session.seed)
    assert session.store.session(session.current.id).seed_locked is False
    before = session.seed
    QTest.mouseClick(bar.dice, Qt.MouseButton.LeftButton)
    assert session.seed != before


@pytest.mark.parametrize("wrong", ["4294967296", "-1", "12a", "", "٣"])
def test_a_seed_out_of_range_is_refused_in_a_sentence(open_window: Window, wrong: str) -> None:
    limner = open_window()
    bar, before = limner.panels.seed, limner.studio.session.seed
    bar.field.setText(wrong)
    QTest.keyClick(bar.field, Qt.Key.Key_Return)
    assert limner.studio.session.seed == before
    assert limner.panels.toast.isVisible()
    assert limner.panels.toast.words.text() == "A seed is a whole number from 0 to 4294967295."


def test_the_modality_switch_is_obeyed(open_window: Window, say: Any) -> None:
    limner = open_window("A fox.")
    limner.panels.composer.segments.show_choice("text")
    say(limner, "a fox")
    assert str(limner.studio.session.branch[0].modality) == "text"


def test_pictures_pasted_dropped_and_refused(open_window: Window, say: Any, tmp_path: Path) -> None:
    limner = open_window("A red square.")
    composer = limner.panels.composer
    image = QImage(64, 48, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    good, bad = tmp_path / "red.png", tmp_path / "bad.png"
    image.save(str(good))
    bad.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(good)), QUrl.fromLocalFile(str(bad))])
    composer.edit.insertFromMimeData(data)
    assert composer.thumbs.paths() == (str(good),)
    assert "“bad.png” is not a picture" in limner.panels.toast.words.text()
    pasted = QMimeData()
    pasted.setImageData(image)
    assert composer.take(pasted) and len(composer.thumbs.paths()) == 2
    off = composer.thumbs.findChildren(QToolButton)[1]
    QTest.mouseClick(off, Qt.MouseButton.LeftButton)
    say(limner, "what is this?")
    turn = limner.studio.session.branch[0]
    assert [(i.width, i.height) for i in turn.images] == [(64, 48)]
    assert composer.thumbs.paths() == ()


def test_a_megabyte_pasted_is_refused_in_a_sentence(open_window: Window) -> None:
    limner = open_window()
    data = QMimeData()
    data.setText("x" * 1_000_000)
    limner.panels.composer.edit.insertFromMimeData(data)
    assert limner.panels.composer.text == ""
    assert "too long" in limner.panels.toast.words.text()


@pytest.mark.parametrize("text", ["‏مرحبا يا ثعلب", "🦊🧑‍🎨 ünïcödé", "a\tb <b>not html</b> ![x](file:///etc/passwd)"])
def test_unusual_words_are_shown_as_written(open_window: Window, until: Any, text: str) -> None:
    limner = open_window("Yes.")
    limner.panels.composer.edit.setPlainText(text)
    limner.panels.composer.submit()
    until(lambda: [t.state for t in limner.studio.session.branch] == ["done"])
    assert limner.panels.chat.views[0].bubble.words.toPlainText() == text


def test_a_bug_becomes_a_report_not_a_traceback(open_window: Window, say: Any, until: Any, capfd: Any) -> None:
    painter = ScriptedT2I(fault=ZeroDivisionError("of ours"), fault_at=1)
    limner = open_window(FOX, "Still here.", t2i=painter)
    dialogs = lambda: [w for w in limner.app.topLevelWidgets() if w.windowTitle() == "Limner made a mistake"]  # noqa: E731
    say(limner, "a fox")
    until(dialogs)
    reports = list((limner.settings.home / "reports").glob("report-*.txt"))
    assert len(reports) == 1 and "ZeroDivisionError: of ours" in reports[0].read_text()
    assert limner.studio.session.branch[0].state == "failed"
    dialogs()[0].close()
    say(limner, "hello")
    assert limner.panels.chat.views[1].said() == "Still here."
    capfd.readouterr()


def test_previews_grow_in_a_frame_of_the_final_size(open_window: Window, say: Any, until: Any) -> None:
    go = threading.Event()

    class Slow(ScriptedT2I):
        def paint(self, *args: Any, **more: Any) -> Any:
            for event in super().paint(*args, **more):
                yield event
                go.wait(10)

    limner = open_window(FOX, t2i=Slow())
    say(limner, "a fox", wait=False)
    until(lambda: limner.panels.canvas.progress.isVisible() and limner.panels.chat.views[0].pictures)
    view = limner.panels.chat.views[0].pictures[0]
    size = view.frame.size()
    assert limner.panels.canvas.progress.words.text() == "Painting 1 of 3"
    assert view.frame.progress == pytest.approx(1 / 3)
    go.set()
    until(lambda: not limner.studio.busy)
    until(lambda: not limner.panels.canvas.progress.isVisible())
    assert view.frame.size() == size and view.frame.progress is None
