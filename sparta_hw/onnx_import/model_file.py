"""The ONNX file itself: is it there, whole, ONNX, and of versions this importer knows?"""

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from sparta_hw.errors import InputFileError, UnsupportedError
from sparta_hw.files import read_bytes
from sparta_hw.onnx_ops import QUANT_DOMAIN, SPARTA_DOMAIN, SPARTA_VERSION

__all__ = ["initializers", "load_model"]

_OLDEST_OPSET = 13
"""ReduceSum takes its axes as an input, and DequantizeLinear an axis, from this opset on."""

_VERSIONS = {SPARTA_DOMAIN: SPARTA_VERSION, QUANT_DOMAIN: 1}


def load_model(path: str | Path) -> ModelProto:
    """Parse the file and check its operator set versions.

    Raises
    ------
    InputFileError
        Missing, truncated, or not ONNX.
    UnsupportedError
        It uses a version of an operator set that this importer does not know.
    """
    content = read_bytes(path, "an ONNX model")
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise InputFileError(
            f"{path}: truncated, or not an ONNX model ({len(content)} bytes): {error}"
        ) from error
    if not model.HasField("graph") or not model.graph.node or not model.opset_import:
        raise InputFileError(
            f"{path}: truncated, or not an ONNX model ({len(content)} bytes): it has no graph"
        )
    try:
        onnx.load_external_data_for_model(model, str(Path(path).parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InputFileError(f"{path}: its external data cannot be read: {error}") from error
    _check_versions(path, model)
    return model


def _check_versions(path: str | Path, model: ModelProto) -> None:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not _OLDEST_OPSET <= opset <= newest:
        raise UnsupportedError(
            f"{path}: ONNX opset {opset}, this importer reads {_OLDEST_OPSET} to {newest}; "
            "convert it with onnx.version_converter, or export it again"
        )
    for domain, known in _VERSIONS.items():
        found = versions.get(domain, known)
        if found != known:
            raise UnsupportedError(
                f"{path}: version {found} of domain {domain!r}, this importer knows version {known}; "
                "export the network again with this release"
            )


def initializers(path: str | Path, model: ModelProto) -> dict[str, NDArray]:
    """Initializers as arrays by name.

    Raises
    ------
    InputFileError
        The bytes of one do not match its shape.
    """
    arrays = {}
    for tensor in model.graph.initializer:
        try:
            arrays[tensor.name] = np.asarray(numpy_helper.to_array(tensor))
        except (ValueError, TypeError) as error:
            raise InputFileError(f"{path}: initializer {tensor.name!r} cannot be read: {error}") from error
    return arrays
