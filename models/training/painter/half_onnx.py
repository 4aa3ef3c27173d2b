"""ONNX weights stored in half precision, computed in single: half the file, the same speed.

Each large initializer becomes fp16 with a Cast behind it; the runtime folds the cast when it loads the graph. Knows
graphs, not what they compute. The IO types stay float32, so pipelines notice nothing.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Tensors below this many numbers stay as they are: they weigh nothing, and some are exact constants.
_SMALL = 256


def store_in_half(path: Path) -> None:
    """Rewrites one ONNX file in place. Numbers beyond fp16's range leave their tensor untouched."""
    model = onnx.load(str(path))
    kept, casts = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else None
        if values is None or values.size < _SMALL or np.abs(values).max() > 6e4:
            kept.append(tensor)
            continue
        name = f"{tensor.name}.half"
        kept.append(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT, name=f"{tensor.name}.cast"))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
