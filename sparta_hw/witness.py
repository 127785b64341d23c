"""ONNX Runtime as an outside witness: it runs the exported file knowing nothing of this project."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from sparta_hw.errors import MismatchError
from sparta_hw.vectors import Vectors

__all__ = ["check_against_runtime", "run_onnx", "runtime_integers"]


def run_onnx(
    path: str | Path, spikes: NDArray[np.uint8], k: int | None = None, tensors: Iterable[str] = ("logits",)
) -> dict[str, NDArray]:
    """Execute a model in plain ONNX Runtime.

    Parameters
    ----------
    path : path
        ONNX file of the dialect.
    spikes : uint8 array (n, T, C, H, W)
        0 or 1.
    k : int or None
        Tokens that attend; the file's own default if None.
    tensors : iterable of str
        Values to return, inner ones too.

    Returns
    -------
    dict of str to array
        Real values as ONNX Runtime computed them; axes as in docs/dialect.md.
    """
    import onnxruntime

    model = onnx.load(path)
    names = list(tensors)
    there = {output.name for output in model.graph.output}
    model.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name not in there
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"spikes": np.ascontiguousarray(spikes.swapaxes(0, 1), np.float32)}
    if k is not None:
        feeds["k"] = np.array([k], np.int64)
    return dict(zip(names, session.run(names, feeds), strict=True))


def runtime_integers(
    path: str | Path, spikes: NDArray[np.uint8], fracs: Mapping[str, int], k: int | None = None
) -> dict[str, NDArray[np.float64]]:
    """Tensors as :func:`run_onnx` computes them, times ``2**frac``, sample first.

    Parameters
    ----------
    path, spikes, k
        See :func:`run_onnx`.
    fracs : mapping of str to int
        Fractional bits of each tensor to return.
    """
    computed = run_onnx(path, spikes, k, fracs)
    scaled = {name: computed[name].astype(np.float64) * 2.0**frac for name, frac in fracs.items()}
    return {
        name: values.swapaxes(0, 1) if name.startswith("stem.") else values for name, values in scaled.items()
    }


def check_against_runtime(path: str | Path, fracs: Mapping[str, int], vectors: Vectors) -> int:
    """Compare tensors of PyTorch, as integers, with ONNX Runtime, bit for bit.

    Parameters
    ----------
    path : path
        ONNX file.
    fracs : mapping of str to int
        Fractional bits of each tensor to compare.
    vectors : Vectors
        Inputs, K, and the integers of each tensor.

    Returns
    -------
    int
        Elements compared.

    Raises
    ------
    MismatchError
        Names the first tensor, index, expected and actual value.
    """
    for name, got in runtime_integers(path, vectors.input, fracs, vectors.k).items():
        want = vectors.tensors[name].astype(np.float64)
        if want.shape != got.shape or not np.array_equal(want, got):
            at = tuple(int(i) for i in np.argwhere(want != got)[0]) if want.shape == got.shape else ()
            raise MismatchError(
                f"{path}: ONNX Runtime disagrees with PyTorch at K = {vectors.k} in tensor {name}, index {at}:"
                f" expected {want[at] if at else want.shape}, actual {got[at] if at else got.shape}"
            )
    return int(sum(vectors.tensors[name].size for name in fracs))
