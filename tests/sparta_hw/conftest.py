"""A small network in the ONNX dialect, built with onnx.helper alone, and the means to damage it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sparta_hw.ir import Graph
from sparta_hw.onnx_import import import_model
from sparta_hw.onnx_ops import functions

STEPS, CHANNELS, SIZE, FEATURES, CLASSES, DEFAULT_K = 5, 2, 6, 6, 3, 4
"""The network: spikes 5 x 2 x 6 x 6, stems of 3 (stride 2) and 6 channels, 9 tokens, 3 classes."""


class ModelBuilder:
    """An ONNX model of the dialect, node after node."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, np.ndarray] = {}

    def constant(self, name: str, array: object, dtype: type = np.float32) -> str:
        self.arrays[name] = np.array(array, dtype)
        return name

    def node(
        self,
        op: str,
        name: str,
        inputs: list[str],
        outputs: list[str],
        domain: str = "",
        **attributes: object,
    ) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def integers(self, name: str, values: object, frac: int, dtype: type) -> str:
        # A weight's scale of shape [] makes ONNX Runtime fuse its MatMul into an approximate MatMulNBits.
        scale = [2.0**-frac] if dtype is np.int8 else 2.0**-frac
        inputs = [self.constant(f"{name}.int", values, dtype), self.constant(f"{name}.scale", scale)]
        return self.node("DequantizeLinear", f"{name}.dequantize", inputs, [name])

    def quant(self, name: str, source: str, output: str, bits: int, frac: int) -> str:
        inputs = [
            source,
            self.constant(f"{name}.scale", 2.0**-frac),
            self.constant(f"{name}.zero", 0.0),
            self.constant(f"{name}.bits", bits),
        ]
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "FLOOR"}
        return self.node("Quant", name, inputs, [output], "qonnx.custom_op.general", **attributes)

    def stem(
        self, n: int, source: str, shape: tuple[int, ...], outputs: int, stride: int, reset: str
    ) -> tuple[str, tuple[int, ...]]:
        rng, name = self.rng, f"stem.{n}"
        channels, height, width = shape
        self.node(
            "Reshape",
            f"{name}.fold",
            [source, self.constant(f"{name}.in", [-1, *shape], np.int64)],
            [f"{name}.frames"],
        )
        weight = rng.integers(-40, 90, (outputs, channels, 3, 3))
        inputs = [
            f"{name}.frames",
            self.integers(f"{name}.weight", weight, 9, np.int8),
            self.integers(f"{name}.bias", rng.integers(-30, 60, outputs), 9, np.int32),
        ]
        window = {
            "kernel_shape": [3, 3],
            "strides": [stride] * 2,
            "pads": [1] * 4,
            "dilations": [1, 1],
            "group": 1,
        }
        self.node("Conv", f"{name}.conv", inputs, [f"{name}.sums"], **window)
        self.quant(f"{name}.quant", f"{name}.sums", f"{name}.current", 16, 8)
        grid = (outputs, (height - 1) // stride + 1, (width - 1) // stride + 1)
        target = self.constant(f"{name}.out", [STEPS, -1, *grid], np.int64)
        self.node("Reshape", f"{name}.unfold", [f"{name}.current", target], [f"{name}.drive"])
        leak = self.constant(f"{name}.tau_inv", rng.integers(90, 200, outputs) / 256)
        threshold = self.constant(f"{name}.v_th", rng.integers(20, 90, outputs) / 256)
        v_reset = -4 / 256 if reset == "hard" else 0.0
        attributes = {"frac": 8, "tau_bits": 8, "reset": reset, "v_reset": v_reset}
        return self.sparta(
            "HILIF", f"{name}.hilif", [f"{name}.drive", leak, threshold], [name], **attributes
        ), grid

    def sparta(self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: object) -> str:
        return self.node(op, name, inputs, outputs, "sparta", **attributes)

    def build(self) -> ModelProto:
        rng, shape = self.rng, (CHANNELS, SIZE, SIZE)
        source, shape = self.stem(0, "spikes", shape, 3, 2, "hard")
        source, shape = self.stem(1, source, shape, FEATURES, 1, "soft")
        cues = ["first", "interval", "burst", "rate"]
        self.sparta("SpikeCues", "cues", [source], cues, frac=3)
        tables = [self.constant(f"table_{cue}", rng.integers(-40, 40, STEPS * 8 + 1) / 16) for cue in cues]
        self.sparta("TokenScore", "score", [*cues, *tables], ["score"], frac=3)
        self.constant("k", [DEFAULT_K], np.int64)
        self.sparta("TopKTokens", "topk", ["score", "k"], ["index"])
        gains = [self.constant("alpha", 1.25), self.constant("beta", 0.5)]
        self.sparta("TokenGate", "gate", [source, "index", *gains], ["tokens"], frac=4, bits=8)
        self.sparta("GatherTokens", "gather", ["tokens", "index"], ["selected"])
        for name, frac in (("query", 4), ("key", 3), ("value", 5)):
            weight = rng.integers(-120, 120, (FEATURES, FEATURES))
            self.node(
                "MatMul",
                name,
                ["selected", self.integers(f"{name}.weight", weight, 7, np.int8)],
                [f"{name}.dot"],
            )
            bias = self.integers(f"{name}.bias", rng.integers(-500, 500, FEATURES), 11, np.int32)
            self.node("Add", f"{name}.add", [f"{name}.dot", bias], [f"{name}.sums"])
            self.quant(f"{name}.quant", f"{name}.sums", name, 8, frac)
        inputs = ["query", "key", "value", "score", "index"]
        fracs = {"frac_query": 4, "frac_key": 3, "frac_value": 5, "score_frac": 4}
        self.sparta("SparseAttention", "attention", inputs, ["attention"], **fracs)
        axes = self.constant("axes", [1], np.int64)
        for name in ("tokens", "attention"):
            self.node("ReduceSum", f"{name}.sum", [name, axes], [f"{name}.total"], keepdims=0)
        self.node("Add", "pool", ["tokens.total", "attention.total"], ["pool.sums"])
        self.quant("pool.quant", "pool.sums", "pooled", 8, 1)
        weight = self.integers("classifier.weight", rng.integers(-90, 90, (FEATURES, CLASSES)), 6, np.int8)
        self.node("MatMul", "classifier", ["pooled", weight], ["classifier.dot"])
        bias = self.integers("classifier.bias", rng.integers(-90, 90, CLASSES), 7, np.int32)
        self.node("Add", "classifier.add", ["classifier.dot", bias], ["logits"])
        return self._model()

    def _model(self) -> ModelProto:
        batch = ["batch", CHANNELS, SIZE, SIZE]
        inputs = [
            helper.make_tensor_value_info("spikes", TensorProto.FLOAT, [STEPS, *batch]),
            helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
        ]
        results = ["stem.0", "stem.1", "first", "interval", "burst", "rate", "score", "index", "tokens"]
        results += ["query", "key", "value", "attention", "pooled", "logits"]
        outputs = [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name == "index" else TensorProto.FLOAT, None
            )
            for name in results
        ]
        arrays = [numpy_helper.from_array(array, name) for name, array in self.arrays.items()]
        graph = helper.make_graph(self.nodes, "small", inputs, outputs, arrays)
        opsets = [
            helper.make_opsetid("", 20),
            helper.make_opsetid("sparta", 1),
            helper.make_opsetid("qonnx.custom_op.general", 1),
        ]
        return helper.make_model(graph, opset_imports=opsets, functions=functions(), ir_version=10)


def _node(model: ModelProto, name: str) -> NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def _set_attribute(model: ModelProto, node: str, name: str, value: object) -> None:
    target = _node(model, node)
    kept = [entry for entry in target.attribute if entry.name != name]
    del target.attribute[:]
    target.attribute.extend([*kept, helper.make_attribute(name, value)])


def _array(model: ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(
        next(entry for entry in model.graph.initializer if entry.name == name)
    ).copy()


def _set_array(model: ModelProto, name: str, array: np.ndarray) -> None:
    entry = next(entry for entry in model.graph.initializer if entry.name == name)
    entry.CopyFrom(numpy_helper.from_array(np.asarray(array), name))


@pytest.fixture
def model() -> ModelProto:
    """The small network."""
    return ModelBuilder(seed=1).build()


@pytest.fixture
def make_model() -> Callable[[int], ModelProto]:
    """The small network with other weights for another seed."""
    return lambda seed: ModelBuilder(seed).build()


@pytest.fixture
def edit() -> SimpleNamespace:
    """Functions that change a model: node, set_attribute, array, set_array."""
    return SimpleNamespace(node=_node, set_attribute=_set_attribute, array=_array, set_array=_set_array)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[ModelProto], Graph]:
    """Write a model to a file and import it."""

    def through_file(model: ModelProto) -> Graph:
        path = tmp_path / "small.onnx"
        path.write_bytes(model.SerializeToString())
        return import_model(path)

    return through_file


@pytest.fixture
def graph(model: ModelProto, load: Callable[[ModelProto], Graph]) -> Graph:
    """The small network as IR."""
    return load(model)


@pytest.fixture
def spikes() -> np.ndarray:
    """Six samples for the small network: random at several rates, one silent, one full."""
    rng = np.random.default_rng(2)
    rates = np.array([0.1, 0.3, 0.5, 0.8, 0.0, 1.0]).reshape(-1, 1, 1, 1, 1)
    return (rng.random((6, STEPS, CHANNELS, SIZE, SIZE)) < rates).astype(np.uint8)
