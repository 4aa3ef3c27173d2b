"""Connects the window to the state: what the artist does goes to `Studio`, what changes comes back to the views.

The only module that knows both. It is imported after the window is on screen, in the background.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, QSize, Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QPixmap

from desktop.engine import EngineEvent
from desktop.state.session import SessionModel
from desktop.state.studio import Studio, Words
from desktop.store.records import PictureRecord
from desktop.ui import progress_words
from desktop.ui.dialogs import KeysDialog, show_bug
from desktop.ui.engine_words import engine_words
from desktop.ui.images import Images
from desktop.ui.panels import Panels
from desktop.ui.picture_menu import picture_menu
from desktop.ui.turn_view import TurnView
from desktop.ui.words import tr
from models.contracts import Decided, DrawStarted, KnownError, SayDelta

TICK_MS = 500
UNDO_MS = 6000


class Wiring(QObject):
    """Lives as long as the window. `session` is None until the engine is open."""

    def __init__(self, window: Panels, studio: Studio) -> None:
        super().__init__(window)
        self.window = window
        self.studio = studio
        self.images = Images(self)
        self._keys: KeysDialog | None = None
        self._shown_picture = 0
        self._tick = QTimer(self, interval=TICK_MS)
        self._tick.timeout.connect(self._show_progress)
        window.chat.show_images(self.images)
        window.filmstrip.show_images(self.images)
        self._connect_views()
        self._connect_studio()
        self._connect_keys()

    @property
    def session(self) -> SessionModel | None:
        """The conversation on screen."""
        return self.studio.session

    # ------------------------------------------------------------ wires
    def _connect_views(self) -> None:
        window, bar = self.window, self.window.title_bar
        bar.keys_asked.connect(self.show_keys)
        window.composer.sent.connect(self.send)
        window.composer.stopped.connect(self.studio.stop)
        window.composer.typed.connect(self._typed)
        window.composer.modality_chosen.connect(lambda name: setattr(self.studio.settings, "modality", name))
        window.composer.refused.connect(lambda words: window.toast.show_words(words, ms=6000))
        window.chat.tried.connect(lambda text: self.send(text, (), "auto"))
        window.chat.turn_made.connect(self._turn_made)
        window.chat.taken_back.connect(self._take_back)
        window.filmstrip.chosen.connect(self.choose_picture)
        window.filmstrip.picture_menu.connect(self._picture_menu)
        window.canvas.picture_menu.connect(lambda at: self._picture_menu(self._shown_picture, at))
        self.images.ready.connect(self._image_ready)

    def _connect_studio(self) -> None:
        studio = self.studio
        studio.waking.connect(self._waking)
        studio.cannot_open.connect(self._cannot_wake)
        studio.cannot_wake.connect(self._cannot_wake)
        studio.session_opened.connect(self._session_opened)
        studio.sending_failed.connect(self._sending_failed)
        studio.queue_changed.connect(self._queue_changed)
        studio.chairs.changed.connect(self._chairs_changed)
        studio.bugs.written.connect(self._bug, Qt.ConnectionType.QueuedConnection)

    def _connect_keys(self) -> None:
        window, composer = self.window, self.window.composer
        acts: dict[str, Callable[[], object]] = {
            "Ctrl+N": self.new,
            "Ctrl+B": window.title_bar.panel.toggle,
            "Ctrl+L": composer.edit.setFocus,
            "Ctrl+I": self.toggle_inspector,
            "Ctrl+Return": composer.submit,
            "Ctrl+Enter": composer.submit,
            "Esc": self.studio.stop,
            "F1": self.show_keys,
            "F": composer.segments.flip,
            "S": window.seed.lock.click,
        }
        for keys, act in acts.items():
            window.shortcut(keys, act)
        for number in range(1, 10):
            window.shortcut(str(number), partial(self.choose_picture, number))

    def _session_opened(self) -> None:
        session = self.session
        assert session
        window, seed = self.window, self.window.seed
        session.sessions_changed.connect(self._sessions_changed)
        session.switched.connect(self._switched)
        session.branch_changed.connect(self._branch_changed)
        session.turn_changed.connect(self._turn_changed)
        session.live_changed.connect(self._live_changed)
        session.picture_added.connect(self._picture_added)
        session.chosen_changed.connect(self._chosen_changed)
        session.seed_changed.connect(self._seed_changed)
        seed.typed.connect(lambda number: self.guard(lambda: session.set_seed(number)))
        seed.locked.connect(lambda on: self.guard(lambda: session.set_seed(locked=on)))
        seed.rolled.connect(lambda: self.guard(session.roll))
        seed.refused.connect(lambda words: window.toast.show_words(words, ms=6000))
        window.sessions.new_asked.connect(self.new)
        window.sessions.switch_asked.connect(lambda i: self.guard(lambda: session.switch(i)))
        window.sessions.rename_asked.connect(lambda i, title: self.guard(lambda: session.rename(i, title)))
        window.sessions.delete_asked.connect(self.delete)
        window.title_bar.rename_asked.connect(self._rename_current)
        window.title_bar.delete_asked.connect(lambda: self.delete(self._session_id()))
        window.show_fault("")

    def guard(self, act: Callable[[], object]) -> None:
        """Do something in the store; a known error becomes a sentence at the foot of the window."""
        try:
            act()
        except KnownError as error:
            self.window.toast.show_words(engine_words(str(error)), ms=8000)

    # ------------------------------------------------------------ talking
    def send(self, text: str, images: tuple[str, ...] = (), modality: str = "auto") -> None:
        """A message on its way; one that cannot be written down comes back into the composer."""
        words = Words(text, tuple(images), modality)
        try:
            self.studio.send(words)
        except KnownError as error:
            self._sending_failed(words, str(error))

    def _sending_failed(self, words: Words, sentence: str) -> None:
        self.window.composer.put_back(words.text, words.images, words.modality)
        if sentence:
            self.window.show_fault(engine_words(sentence), tr("Try again"), self._send_again)

    def _send_again(self) -> None:
        self.window.show_fault("")
        self.window.composer.submit()

    def _take_back(self, job_id: str) -> None:
        words = self.studio.take_back(job_id)
        if words:
            self.window.composer.put_back(words.text, words.images, words.modality)
            self.window.composer.edit.setFocus()

    def _typed(self, text: str) -> None:
        self.studio.drafts.set_typed(self._session_id(), text)

    def _session_id(self) -> str:
        current = self.session.current if self.session else None
        return current.id if current else ""

    def _queue_changed(self) -> None:
        self.window.chat.show_waiting(list(self.studio.waiting))
        self.window.composer.show_busy(self.studio.busy)

    # ------------------------------------------------------------ waking
    def _waking(self, stage: str) -> None:
        if stage == "ready":
            self.window.show_fault("")
        self.window.title_bar.show_note(progress_words.stage(stage))

    def _cannot_wake(self, sentence: str) -> None:
        self.window.title_bar.show_note("")
        self.window.show_fault(engine_words(sentence), tr("Try again"), self.studio.try_again)

    def _chairs_changed(self) -> None:
        chairs = self.studio.chairs
        for kind, mark in self.window.title_bar.marks.items():
            mark.show_model(chairs.names[kind], chairs.states[kind])

    # ------------------------------------------------------------ sessions
    def _sessions_changed(self) -> None:
        assert self.session
        current = self.session.current
        self.window.sessions.show_sessions(self.session.sessions(), current.id if current else None)
        self.window.show_title(current.title if current else "")

    def _switched(self) -> None:
        assert self.session
        self.window.filmstrip.show_pictures(self.session.pictures)
        self.window.composer.show_text(self.studio.drafts.typed(self._session_id()))
        self._sessions_changed()
        self._queue_changed()

    def new(self) -> None:
        """A blank conversation."""
        if self.session:
            self.session.new()
        self.window.composer.edit.setFocus()

    def delete(self, session_id: str) -> None:
        """Take a conversation away; it can be brought back until the window closes or another one is deleted."""
        session = self.session
        assert session
        title = next((s.title for s in session.sessions() if s.id == session_id), "")
        self.guard(session.delete_hidden)
        session.hide(session_id)
        words = tr("“{title}” is deleted.").format(title=title or tr("Untitled"))
        self.window.toast.show_words(words, tr("Undo"), lambda: session.unhide(session_id), UNDO_MS)

    def _rename_current(self) -> None:
        self.window.title_bar.panel.setChecked(True)
        self.window.sessions.edit(self._session_id())

    def _seed_changed(self) -> None:
        assert self.session
        self.window.seed.show_seed(self.session.seed, self.session.seed_locked)

    # ------------------------------------------------------------ turns
    def _turn_made(self, view: TurnView) -> None:
        assert self.session
        view.picture_chosen.connect(self._choose)
        view.inspected.connect(self.inspect)
        view.picture_menu.connect(self._picture_menu)
        view.retried.connect(self.studio.retry)
        view.show_chosen(self.session.chosen_picture)
        live = self.session.live.get(view.turn.id)
        if live:
            view.show_live(live, live.said)

    def _branch_changed(self) -> None:
        assert self.session
        self.window.chat.show_branch(self.session.branch)

    def _turn_changed(self, turn_id: str) -> None:
        assert self.session
        turn, view = self.session.turn(turn_id), self.window.chat.view(turn_id)
        if turn and view:
            view.show_record(turn)
            view.show_chosen(self.session.chosen_picture)
        self._show_canvas()

    def _live_changed(self, turn_id: str, event: EngineEvent) -> None:
        assert self.session
        live = self.session.live.get(turn_id)
        if live is None:
            return
        said = event.text if isinstance(event, SayDelta) else ""
        self.window.chat.show_live(turn_id, live, said)
        if live.painting():
            self._tick.start()
            self._show_progress()
        if isinstance(event, (Decided, DrawStarted)) and self.window.inspector_shown:
            self._show_inspector()

    def _choose(self, turn_id: str, number: int) -> None:
        if self.session:
            self.session.choose(turn_id, number or None)

    def choose_picture(self, number: int) -> None:
        """Look at a picture of the session."""
        picture = self.session.picture(number) if self.session else None
        if self.session and picture:
            self.session.choose(picture.turn_id, number)
            self.window.chat.scroll_to(picture.turn_id)

    def _picture_added(self, picture: PictureRecord) -> None:
        self.window.filmstrip.add_picture(picture)

    def _chosen_changed(self) -> None:
        assert self.session
        self.window.filmstrip.show_chosen(self.session.chosen_picture)
        self.window.chat.show_chosen(self.session.chosen_picture)
        self._show_canvas()
        if self.window.inspector_shown:
            self._show_inspector()

    # ------------------------------------------------------------ canvas
    def _show_canvas(self) -> None:
        """The chosen picture, unless the chosen turn is being painted: then that."""
        session = self.session
        if session is None or self._show_progress():
            return
        self._tick.stop()
        picture = session.picture(session.chosen_picture)
        if picture is None:
            self._shown_picture = 0
            self.window.canvas.show_picture(QPixmap())
            return
        pixmap = self.images.get(picture.path)
        if pixmap is not None:
            self._shown_picture = picture.number
            self.window.canvas.show_picture(pixmap)

    def _image_ready(self, _path: str, side: int) -> None:
        if side == 0:
            self._show_canvas()

    def _show_progress(self) -> bool:
        """The picture that grows; False if none does."""
        session = self.session
        live = session.live.get(session.chosen_turn or "") if session else None
        slot = live.painting() if live else None
        if slot is None:
            return False
        pixmap = QPixmap()
        if slot.preview:
            pixmap.loadFromData(slot.preview)
        size = QSize(slot.spec.width, slot.spec.height)
        self.window.canvas.show_preview(pixmap, size, slot.progress(), progress_words.painting(slot))
        return True

    # ------------------------------------------------------------ inspector
    def toggle_inspector(self) -> None:
        """Pull the inspector up, or let it go."""
        if self.window.inspector_shown:
            self.window.show_inspector(False)
        else:
            self._pull_up()

    def inspect(self, turn_id: str, number: int) -> None:
        """Choose a turn (and a picture of it) and pull the inspector up."""
        self._choose(turn_id, number)
        self._pull_up()

    def _pull_up(self) -> None:
        inspector = self.window.inspector
        if not inspector.property("wired"):
            inspector.setProperty("wired", True)
            inspector.close_asked.connect(lambda: self.window.show_inspector(False))
            inspector.copied.connect(lambda: self.window.toast.show_words(tr("Copied.")))
        self._show_inspector()
        self.window.show_inspector(True)

    def _show_inspector(self) -> None:
        session = self.session
        turn = session.turn(session.chosen_turn or "") if session else None
        picture = session.picture(session.chosen_picture) if session else None
        if turn is None or session is None:
            self.window.inspector.show_turn(None, None, 0)
            return
        own = picture if picture and picture.turn_id == turn.id else None
        self.window.inspector.show_turn(turn, own, session.branch.index(turn) + 1)

    # ------------------------------------------------------------ the rest
    def _picture_menu(self, number: int, at: QPoint) -> None:
        picture = self.session.picture(number) if self.session else None
        if picture:
            picture_menu(self, picture).popup(at)

    def show_keys(self) -> None:
        """The list of keys."""
        if self._keys is None:
            self._keys = KeysDialog(self.window)
        self._keys.show()
        self._keys.raise_()

    def _bug(self, path: str, text: str) -> None:
        show_bug(self.window, path, text)

    def open_folder(self, path: str) -> None:
        """Show the folder of a file in the system's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent)))

    def copy_picture(self, path: str) -> None:
        """The picture's pixels to the clipboard."""
        pixmap = self.images.get(path)
        QGuiApplication.clipboard().setPixmap(pixmap if pixmap is not None else QPixmap(path))
        self.window.toast.show_words(tr("Copied."))
