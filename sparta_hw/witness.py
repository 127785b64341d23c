"""ONNX Runtime as an outside witness: it runs the exported file knowing nothing of this project."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from sparta_hw.errors import MismatchError
from sparta_hw.vectors import Vectors, of_ranks

__all__ = ["check_against_runtime", "run_onnx", "runtime_integers"]


def run_onnx(
    path: str | Path,
    inputs: NDArray[np.uint8],
    k: int | None = None,
    tensors: Iterable[str] = ("logits",),
    state: NDArray[np.int64] | None = None,
) -> dict[str, NDArray]:
    """Execute a model in plain ONNX Runtime.

    Parameters
    ----------
    path : path
        ONNX file of the dialect.
    inputs : uint8 array (n, T, C, H, W), or (n, C, H, W)
        Spikes, 0 or 1, or pixels.
    k : int or None
        Tokens that attend, 0 for each sample's own; the file's own default if None. Not used without tokens.
    tensors : iterable of str
        Values to return, inner ones too.
    state : int array (n,) or None
        Feedback state before each sample; the file's own default, 0, if None.

    Returns
    -------
    dict of str to array
        Values as ONNX Runtime computed them; axes as in docs/dialect.md.
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
    spikes = inputs.ndim == 5
    array = inputs.swapaxes(0, 1) if spikes else inputs
    feeds: dict[str, NDArray] = {"spikes" if spikes else "pixels": np.ascontiguousarray(array, np.float32)}
    if k is not None and any(entry.name == "k" for entry in model.graph.input):
        feeds["k"] = np.array([k], np.int64)
    if state is not None:
        feeds["state"] = state
    return dict(zip(names, session.run(names, feeds), strict=True))


def runtime_integers(
    path: str | Path,
    inputs: NDArray[np.uint8],
    fracs: Mapping[str, int],
    k: int | None = None,
    state: NDArray[np.int64] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Tensors as :func:`run_onnx` computes them, times ``2**frac``, sample first.

    Parameters
    ----------
    path, inputs, k, state
        See :func:`run_onnx`.
    fracs : mapping of str to int
        Fractional bits of each tensor to return; 0 for spikes, indices, K and the state.
    """
    computed = run_onnx(path, inputs, k, fracs, state)
    scaled = {name: computed[name].astype(np.float64) * 2.0**frac for name, frac in fracs.items()}
    # Spikes are the only tensors with five axes, and time is their first one.
    return {name: values.swapaxes(0, 1) if values.ndim == 5 else values for name, values in scaled.items()}


def check_against_runtime(path: str | Path, fracs: Mapping[str, int], vectors: Vectors) -> int:
    """Compare tensors of PyTorch, as integers, with ONNX Runtime, bit for bit.

    Parameters
    ----------
    path : path
        ONNX file.
    fracs : mapping of str to int
        Fractional bits of each tensor to compare.
    vectors : Vectors
        Inputs, K, and the integers of each tensor. With feedback each sample starts from the state that the
        vectors have after the one before it.

    Returns
    -------
    int
        Elements compared: of tensors in rank order the ranks below each sample's own K.

    Raises
    ------
    MismatchError
        Names the first tensor, index, expected and actual value.
    """
    state = None
    if "next_state" in vectors.tensors:
        after = vectors.tensors["next_state"].astype(np.int64)
        state = np.concatenate([np.zeros(1, np.int64), after[:-1]])
    compared = 0
    for name, got in runtime_integers(path, vectors.input, fracs, vectors.request, state).items():
        want = vectors.tensors[name].astype(np.float64)
        if want.shape != got.shape:
            raise _mismatch(path, vectors, f"tensor {name}: expected {want.shape}, actual {got.shape}")
        counts = np.ones(want.shape, bool)
        if of_ranks(name):
            below = np.arange(want.shape[1]) < vectors.k[:, None]
            counts &= below.reshape(*below.shape, *[1] * (want.ndim - 2))
        wrong = np.argwhere((want != got) & counts)
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            raise _mismatch(
                path, vectors, f"tensor {name}, index {at}: expected {want[at]}, actual {got[at]}"
            )
        compared += int(counts.sum())
    return compared


def _mismatch(path: str | Path, vectors: Vectors, what: str) -> MismatchError:
    asked = f"K = {vectors.request}" if vectors.request else "each sample's own K"
    return MismatchError(f"{path}: ONNX Runtime disagrees with PyTorch at {asked} in {what}")
