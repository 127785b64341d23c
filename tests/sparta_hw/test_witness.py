"""The witness sees what differs, and only that."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from sparta_hw.errors import MismatchError
from sparta_hw.interpreter import run
from sparta_hw.onnx_import import import_model
from sparta_hw.vectors import Vectors
from sparta_hw.witness import check_against_runtime, run_onnx

FRACS = {"stem.0": 0, "msp": 4, "dynamic_k": 0, "winners": 0, "attention.1": 4, "logits": 7, "next_state": 0}


@pytest.fixture
def path(full_model: ModelProto, tmp_path: Path) -> Path:
    file = tmp_path / "full.onnx"
    file.write_bytes(full_model.SerializeToString())
    return file


@pytest.fixture
def vectors(path: Path, pixels: np.ndarray) -> Vectors:
    """A stream of samples, each from the state after the one before it."""
    graph, state, stream = import_model(path), np.zeros(1, np.int64), []
    for sample in pixels:
        stream.append(run(graph, sample[None], 0, state))
        state = stream[-1]["next_state"].reshape(1)
    k = np.concatenate([layers["k"] for layers in stream])
    tensors = {}
    for name in FRACS:
        parts = [layers[name][0] for layers in stream]
        if name in ("winners", "attention.1"):
            parts = [
                np.pad(part, [(0, k.max() - len(part)), *[(0, 0)] * (part.ndim - 1)], constant_values=77)
                for part in parts
            ]
        tensors[name] = np.stack(parts)
    assert k.min() < k.max()
    return Vectors(input=pixels, labels=np.zeros(6, np.int64), request=0, k=k, tensors=tensors)


def test_agrees_below_each_samples_own_k(path: Path, vectors: Vectors) -> None:
    sizes = {name: values.size for name, values in vectors.tensors.items()}
    ranks = int(vectors.k.sum())
    expected = sum(sizes.values()) - sizes["winners"] - sizes["attention.1"] + ranks * (1 + 24)
    assert check_against_runtime(path, FRACS, vectors) == expected


@pytest.mark.parametrize("name", FRACS)
def test_one_other_bit_is_seen(name: str, path: Path, vectors: Vectors) -> None:
    altered = vectors.tensors[name].copy()
    altered[(2, *[0] * (altered.ndim - 1))] ^= 1
    vectors = replace(vectors, tensors={**vectors.tensors, name: altered})
    message = rf"ONNX Runtime disagrees with PyTorch at each sample's own K in tensor {name}, index \(2"
    if name == "next_state":
        message = "ONNX Runtime disagrees with PyTorch"
    with pytest.raises(MismatchError, match=message):
        check_against_runtime(path, FRACS, vectors)


def test_another_shape_is_seen(path: Path, vectors: Vectors) -> None:
    vectors = replace(vectors, tensors={**vectors.tensors, "msp": vectors.tensors["msp"][:, :9]})
    with pytest.raises(MismatchError, match=r"tensor msp: expected \(6, 9\), actual \(6, 16\)"):
        check_against_runtime(path, FRACS, vectors)


def test_another_k_is_seen(path: Path, vectors: Vectors) -> None:
    with pytest.raises(MismatchError, match="at K = 3 in tensor"):
        check_against_runtime(path, FRACS, replace(vectors, request=3))


def test_defaults_of_the_file(
    make_model: Callable[..., ModelProto], tmp_path: Path, spikes: np.ndarray
) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(make_model(1).SerializeToString())
    computed = run_onnx(path, spikes, tensors=("logits", "winners"))
    assert computed["winners"].shape == (6, 4)
    np.testing.assert_array_equal(run_onnx(path, spikes, 4)["logits"], computed["logits"])
    assert np.any(run_onnx(path, spikes, 9)["logits"] != computed["logits"])
