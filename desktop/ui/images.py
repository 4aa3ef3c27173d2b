"""Pictures from disk as pixmaps, read and scaled off the GUI thread. Knows files; knows neither sessions nor views."""

from collections import OrderedDict

from PySide6.QtCore import QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage, QImageReader, QPixmap

CACHE_PIXELS = 40_000_000
"""About 160 MB of pixels at most; far less in practice."""


class Images(QObject):
    """`get` answers at once if it can, else reads in the background and emits `ready(path, side)`."""

    ready = Signal(str, int)
    _read = Signal(str, int, QImage)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._kept: OrderedDict[tuple[str, int], QPixmap] = OrderedDict()
        self._pixels = 0
        self._asked: set[tuple[str, int]] = set()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(2)
        self._read.connect(self._arrived, Qt.ConnectionType.QueuedConnection)

    def get(self, path: str, side: int = 0) -> QPixmap | None:
        """The picture, at most `side` pixels long (0: as it is). None: not read yet; null pixmap: cannot be read."""
        key = (path, side)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._asked:
            self._asked.add(key)
            self._pool.start(_Task(self, path, side))
        return None

    def wait(self) -> None:
        """Until nothing is being read any more (at the end, and in tests)."""
        self._pool.waitForDone()

    def arrived(self, path: str, side: int, image: QImage) -> None:
        """Called by a task, in its own thread."""
        self._read.emit(path, side, image)

    def _arrived(self, path: str, side: int, image: QImage) -> None:
        key = (path, side)
        self._asked.discard(key)
        self._kept[key] = QPixmap.fromImage(image)
        self._pixels += image.width() * image.height()
        while self._pixels > CACHE_PIXELS and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._pixels -= old.width() * old.height()
        self.ready.emit(path, side)


class _Task(QRunnable):
    def __init__(self, images: Images, path: str, side: int) -> None:
        super().__init__()
        self._images, self._path, self._side = images, path, side

    def run(self) -> None:
        self._images.arrived(self._path, self._side, read_scaled(self._path, self._side))


def read_scaled(path: str, side: int) -> QImage:
    """Read a picture, turned as its camera says and scaled while reading; a null image if that cannot be done."""
    reader = QImageReader(path)
    reader.setAutoTransform(True)
    size = reader.size()
    if side and size.isValid() and max(size.width(), size.height()) > side:
        reader.setScaledSize(size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio))
    return reader.read()
