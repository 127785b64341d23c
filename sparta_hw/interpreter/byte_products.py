"""Matrix products of bytes by ONNX Runtime, where it is installed: the processor's own instructions for them."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

__all__ = ["byte_product"]


def byte_product(left: NDArray[np.uint8], right: NDArray[np.int8]) -> NDArray[np.int32] | None:
    """``left @ right`` of matrices; None without ONNX Runtime.

    Processors without such instructions add pairs of products in 16 bits, and saturate: the caller sees to it that
    no pair reaches 2^15.
    """
    session = _session()
    return None if session is None else session.run(None, {"left": left, "right": right})[0]


@cache
def _session() -> Any:
    try:
        import onnxruntime
    except ImportError:
        return None
    inputs = [
        helper.make_tensor_value_info("left", TensorProto.UINT8, [None, None]),
        helper.make_tensor_value_info("right", TensorProto.INT8, [None, None]),
    ]
    sums = helper.make_tensor_value_info("sums", TensorProto.INT32, [None, None])
    node = helper.make_node("MatMulInteger", ["left", "right"], ["sums"])
    graph = helper.make_graph([node], "product", inputs, [sums])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
