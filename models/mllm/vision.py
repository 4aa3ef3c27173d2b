"""The eyes of an MLLM: pictures to embeddings (once per picture) and into the KV cache, through llama.cpp's mtmd.

Knows neither text nor templates. A picture is known by its sha256; what was encoded is kept, so that a picture seen
before a rewind is decoded again but not encoded again.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contracts import BadModelError, Cancelled, ImageRef, OutOfMemoryError
from models.gguf_header import GgufHeader
from models.mllm.images import PictureFit, read_picture
from models.mllm.native import BATCH, MAIN, NativeModel, lib, mtmd

MAX_PICTURE_TOKENS = 576
"""Most tokens a picture may take where the model leaves the choice: 24×24, for Qwen-VL 672×672 pixels.

Without a limit Qwen2-VL takes up to 4096 tokens a picture (more than the context) and llama.cpp reserves 1.1 GB.
"""
KEPT_BYTES = 256 * 2**20
_PICTURES = 512


@dataclass(frozen=True)
class PicturePiece:
    """A run of picture tokens in the KV cache. Equal if picture and piece are the same.

    `tokens` cells are taken, `positions` counted: with M-RoPE a picture of 4×6 tokens moves the position by only 6.
    """

    sha256: str
    index: int
    tokens: int
    positions: int


PictureCells = tuple[int | PicturePiece, ...]
"""How a picture stands in the prompt: its pieces, with the vision part's own marker tokens around them."""


class Vision:
    """An mmproj loaded beside its model. Call `close` before the model is closed."""

    def __init__(self, path: Path, header: GgufHeader, model: NativeModel) -> None:
        """Raises BadModelError if mtmd refuses the file."""
        self._model = model
        self.fit = picture_fit(header, model.n_ctx)
        self.encoded = 0
        """Pictures encoded since loading (for tests and the bench)."""
        self._cells: OrderedDict[str, PictureCells] = OrderedDict()
        self._chunks: dict[tuple[str, int], Any] = {}
        self._embeddings: OrderedDict[PicturePiece, NDArray[np.float32]] = OrderedDict()
        self._context = mtmd.mtmd_init_from_file(str(path).encode(), model.model, self._params())
        if not self._context or not mtmd.mtmd_support_vision(self._context):
            self.close()
            raise BadModelError(f"{path.name} cannot be used as the vision part of {model.path.name}; remove it.")
        # Pictures that see themselves as a whole must be decoded in one piece.
        self._batch = BATCH if mtmd.mtmd_decode_use_non_causal(self._context, None) else model.reading_batch
        self._marker = mtmd.mtmd_get_marker(self._context)

    def close(self) -> None:
        """Free everything. May be called twice."""
        for chunk in self._chunks.values():
            mtmd.mtmd_input_chunk_free(chunk)
        self._chunks.clear()
        self._cells.clear()
        self._embeddings.clear()
        if self._context is not None:
            mtmd.mtmd_free(self._context)
            self._context = None

    def estimate(self, ref: ImageRef) -> int:
        """About how many cells a picture takes, without opening it."""
        if known := self._cells.get(ref.sha256):
            return sum(1 if isinstance(cell, int) else cell.tokens for cell in known)
        wide, high = self.fit.size(max(ref.width, 1), max(ref.height, 1))
        return (wide // self.fit.unit) * (high // self.fit.unit) + 2

    def cells(self, ref: ImageRef) -> PictureCells:
        """What a picture becomes in the prompt. Raises BadInputError if the file cannot be used."""
        if ref.sha256 not in self._cells:
            self._take_in(ref, keep_pixels=False)
        self._cells.move_to_end(ref.sha256)
        return self._cells[ref.sha256]

    def decode(self, piece: PicturePiece, ref: ImageRef, position: int, cancelled: Callable[[], bool]) -> None:
        """Put a piece into the KV cache at `position`; encodes it first unless that was done before.

        Raises Cancelled if the user stops it half-way (the cache then holds part of the piece).
        """
        embedding = self._embedding(piece, ref)

        @mtmd.mtmd_helper_post_decode_callback
        def after_batch(_batch: Any, _data: Any) -> int:
            return int(cancelled())

        end = lib.llama_pos(0)
        code = mtmd.mtmd_helper_decode_image_chunk(
            self._context, self._model.context, self._chunks[piece.sha256, piece.index],
            embedding.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            position, MAIN, self._batch, ctypes.byref(end), after_batch, None,
        )  # fmt: skip
        if code != 0:
            if cancelled():
                raise Cancelled
            raise OutOfMemoryError(f"The model could not look at the picture (mtmd code {code}); close other programs.")

    def _params(self) -> Any:
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = self._model.on_gpu
        params.n_threads = self._model.threads
        params.print_timings = False
        # A warm-up would reserve memory for a 1288×1288 picture; without it buffers grow with the pictures really seen.
        params.warmup = False
        params.image_max_tokens = self.fit.max_pixels // self.fit.unit**2
        return params

    def _take_in(self, ref: ImageRef, keep_pixels: bool) -> None:
        """Open a picture and let mtmd cut it up. Pixels are dropped again unless it is about to be encoded."""
        picture = read_picture(ref.path, self.fit)
        chunks = mtmd.mtmd_input_chunks_init()
        bitmap = mtmd.mtmd_bitmap_init(
            picture.width, picture.height, (ctypes.c_uint8 * len(picture.rgb)).from_buffer_copy(picture.rgb)
        )
        try:
            text = mtmd.mtmd_input_text(self._marker, len(self._marker), False, True)
            bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
            code = mtmd.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1)
            if code != 0:
                raise RuntimeError(f"mtmd_tokenize: {code}")
            self._cells[ref.sha256] = self._read_chunks(chunks, ref.sha256, keep_pixels)
        finally:
            mtmd.mtmd_bitmap_free(bitmap)
            mtmd.mtmd_input_chunks_free(chunks)
        while len(self._cells) > _PICTURES:
            self._let_go(next(iter(self._cells)))

    def _read_chunks(self, chunks: Any, sha256: str, keep_pixels: bool) -> PictureCells:
        cells: list[int | PicturePiece] = []
        for i in range(mtmd.mtmd_input_chunks_size(chunks)):
            chunk = mtmd.mtmd_input_chunks_get(chunks, i)
            if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                count = ctypes.c_size_t()
                tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
                cells += [tokens[j] for j in range(count.value)]
                continue
            size, positions = mtmd.mtmd_input_chunk_get_n_tokens(chunk), mtmd.mtmd_input_chunk_get_n_pos(chunk)
            cells.append(PicturePiece(sha256, i, int(size), int(positions)))
            copy = mtmd.mtmd_input_chunk_copy if keep_pixels else mtmd.mtmd_input_chunk_get_placeholder
            self._put_chunk((sha256, i), copy(chunk))
        return tuple(cells)

    def _put_chunk(self, key: tuple[str, int], chunk: Any) -> None:
        if (old := self._chunks.pop(key, None)) is not None:
            mtmd.mtmd_input_chunk_free(old)
        self._chunks[key] = chunk

    def _embedding(self, piece: PicturePiece, ref: ImageRef) -> NDArray[np.float32]:
        if piece not in self._embeddings:
            self._take_in(ref, keep_pixels=True)
            for cell in self._cells[ref.sha256]:
                if isinstance(cell, PicturePiece):
                    self._encode(cell)
            self.encoded += 1
        self._embeddings.move_to_end(piece)
        return self._embeddings[piece]

    def _encode(self, piece: PicturePiece) -> None:
        key = piece.sha256, piece.index
        chunk = self._chunks[key]
        code = mtmd.mtmd_encode_chunk(self._context, chunk)
        if code != 0:
            raise OutOfMemoryError(f"The picture could not be encoded (mtmd code {code}); close other programs.")
        output = mtmd.mtmd_get_output_embd(self._context)
        floats = piece.tokens * self._model.embedding_floats
        self._embeddings[piece] = np.ctypeslib.as_array(output, shape=(floats,)).copy()
        self._put_chunk(key, mtmd.mtmd_input_chunk_get_placeholder(chunk))
        while len(self._embeddings) > 1 and sum(e.nbytes for e in self._embeddings.values()) > KEPT_BYTES:
            self._embeddings.popitem(last=False)

    def _let_go(self, sha256: str) -> None:
        for cell in self._cells.pop(sha256):
            if isinstance(cell, PicturePiece):
                self._embeddings.pop(cell, None)
                mtmd.mtmd_input_chunk_free(self._chunks.pop((sha256, cell.index)))


def picture_fit(header: GgufHeader, n_ctx: int) -> PictureFit:
    """The sizes a vision part takes, from its metadata; at most MAX_PICTURE_TOKENS and a quarter of the context."""
    patch = int(header.kv.get("clip.vision.patch_size", 14))
    unit = patch * int(header.kv.get("clip.vision.spatial_merge_size", 2))
    most = min(MAX_PICTURE_TOKENS, max(16, n_ctx // 4)) * unit**2
    own_most = int(header.kv.get("clip.vision.image_max_pixels", most))
    own_least = int(header.kv.get("clip.vision.image_min_pixels", 4 * unit**2))
    most = min(most, own_most)
    return PictureFit(unit, min(own_least, most), most)
