"""The menu of a picture, the same wherever it stands: chat, canvas, filmstrip."""

import shutil
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMenu

from desktop.store.records import PictureRecord
from desktop.ui.words import tr
from models.contracts import StoreError

if TYPE_CHECKING:
    from desktop.ui.wiring import Wiring


def picture_menu(wiring: "Wiring", picture: PictureRecord) -> QMenu:
    """Everything that can be done with a picture now."""
    menu = QMenu(wiring.window)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    session = wiring.session
    assert session
    acts = (
        (tr("Show on the canvas"), lambda: wiring.choose_picture(picture.number)),
        (tr("How it came about"), lambda: wiring.inspect(picture.turn_id, picture.number)),
        (tr("Talk about it"), lambda: wiring.window.composer.add_picture(picture.path)),
        (tr("Keep its seed"), lambda: wiring.guard(lambda: session.set_seed(picture.spec.seed, locked=True))),
        None,
        (tr("Copy"), lambda: wiring.copy_picture(picture.path)),
        (tr("Save as…"), lambda: wiring.guard(lambda: _save(wiring, picture))),
        (tr("Show in its folder"), lambda: wiring.open_folder(picture.path)),
    )
    for act in acts:
        if act is None:
            menu.addSeparator()
        else:
            menu.addAction(act[0]).triggered.connect(lambda _=False, do=act[1]: do())
    return menu


def _save(wiring: "Wiring", picture: PictureRecord) -> None:
    """A copy with the recipe in it, exactly as it lies in the library."""
    path, _ = QFileDialog.getSaveFileName(wiring.window, tr("Save as…"), f"limner-{picture.number}.png", "PNG (*.png)")
    if not path:
        return
    try:
        shutil.copyfile(picture.path, path)
    except OSError as error:
        sentence = tr("The picture could not be saved there ({reason}); choose another folder.")
        raise StoreError(sentence.format(reason=error.strerror or error)) from error
    wiring.window.toast.show_words(tr("Saved."))
