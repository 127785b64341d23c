"""Small networks in the ONNX dialect, built with onnx.helper alone, and the means to damage them."""

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
"""The plain network: spikes 5 x 2 x 6 x 6, stems of 3 (stride 2) and 6 channels, 9 tokens, 3 classes."""

BRANCH, CELLS, GROUPS = 8, 2, 10
"""The full network: pixels 2 x 8 x 8, three branches of 8 channels over 4 x 4 grid tokens, one of them of 2 x 2 cells,
10 tokens of 24 features, two heads, two layers, and every other part."""

Shape = tuple[int, int, int]


class ModelBuilder:
    """An ONNX model of the dialect, node after node; ``full``: with every part, else with none."""

    def __init__(self, seed: int, *, full: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.full = full
        self.size = 8 if full else SIZE
        self.features = 3 * BRANCH if full else FEATURES
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

    def sparta(self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: object) -> str:
        return self.node(op, name, inputs, outputs, "sparta", **attributes)

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

    def mlp(self, name: str) -> list[str]:
        rng = self.rng
        return [
            self.constant(f"{name}.hidden_weight", rng.integers(-128, 128, (8, 3)), np.int8),
            self.constant(f"{name}.hidden_bias", rng.integers(-900, 900, 8), np.int32),
            self.constant(f"{name}.weight", rng.integers(-128, 128, 8), np.int8),
            self.constant(f"{name}.bias", rng.integers(-900, 900, 1), np.int32),
        ]

    def spiking(
        self, name: str, source: str, shape: Shape, outputs: int, window: tuple[int, int, int], reset: str
    ) -> tuple[str, Shape]:
        """A spiking convolution with a window of (kernel, stride, pad)."""
        rng, direct, (kernel, stride, pad) = self.rng, source == "pixels", window
        channels, height, width = shape
        frames = source
        if not direct:
            target = self.constant(f"{name}.in", [-1, *shape], np.int64)
            frames = self.node("Reshape", f"{name}.fold", [source, target], [f"{name}.frames"])
        frac = 15 if direct else 9
        inputs = [
            frames,
            self.integers(
                f"{name}.weight", rng.integers(-40, 90, (outputs, channels, kernel, kernel)), frac, np.int8
            ),
            self.integers(f"{name}.bias", rng.integers(-30, 60, outputs), frac, np.int32),
        ]
        attributes = {
            "kernel_shape": [kernel] * 2,
            "strides": [stride] * 2,
            "pads": [pad] * 4,
            "dilations": [1, 1],
            "group": 1,
        }
        self.node("Conv", f"{name}.conv", inputs, [f"{name}.sums"], **attributes)
        self.quant(f"{name}.quant", f"{name}.sums", f"{name}.current", 16, 8)
        image = [(size + 2 * pad - kernel) // stride + 1 for size in (height, width)]
        grid = (outputs, image[0], image[1])
        drive = self._drive(name, grid, direct=direct)
        leak = self.constant(f"{name}.tau_inv", rng.integers(90, 200, outputs) / 256)
        threshold = self.constant(f"{name}.v_th", rng.integers(20, 90, outputs) / 256)
        if self.full:
            threshold = self.sparta(
                "ThresholdOffset",
                f"{name}.offset",
                [threshold, "state"],
                [f"{name}.theta"],
                frac=8,
                gain=64,
                limit=9,
            )
        v_reset = -4 / 256 if reset == "hard" else 0.0
        neuron = {"frac": 8, "tau_bits": 8, "reset": reset, "v_reset": v_reset}
        return self.sparta("HILIF", f"{name}.hilif", [drive, leak, threshold], [name], **neuron), grid

    def _drive(self, name: str, grid: Shape, *, direct: bool) -> str:
        """Currents with their time."""
        if not direct:
            target = self.constant(f"{name}.out", [STEPS, -1, *grid], np.int64)
            return self.node("Reshape", f"{name}.unfold", [f"{name}.current", target], [f"{name}.drive"])
        axis = self.constant(f"{name}.axis", [0], np.int64)
        self.node("Unsqueeze", f"{name}.step", [f"{name}.current", axis], [f"{name}.first"])
        steps = self.constant(f"{name}.steps", [STEPS, 1, 1, 1, 1], np.int64)
        return self.node("Expand", f"{name}.expand", [f"{name}.first", steps], [f"{name}.drive"])

    def build(self) -> ModelProto:
        shape, full = (CHANNELS, self.size, self.size), self.full
        self.constant("k", [0 if full else DEFAULT_K], np.int64)
        self.constant("state", [0], np.int64)
        source, shape = self.spiking("stem.0", "pixels" if full else "spikes", shape, 3, (3, 2, 1), "hard")
        source, shape = self.spiking("stem.1", source, shape, FEATURES, (3, 1, 1), "soft")
        self.grid = shape[1] * shape[2]
        scales = [source]
        if full:
            windows = {"fine": (1, 1, 0), "local": (3, 1, 1), "context": (2, CELLS, 0)}
            for name, window in windows.items():
                self.spiking(name, source, shape, BRANCH, window, "soft")
            scales = list(windows)
        record = self._record(scales)
        group = self._group()
        tokens = {name: self._grouped(name, value) for name, value in record.items()}
        k = self._select(tokens, group)
        index = self._gate(tokens, scales, group, k)
        attention = self._attend(tokens, index, k)
        self._classify(attention[-1])
        if full:
            joined = self.node("Concat", "activity", attention, ["activity"], axis=2)
            law = {"frac": 4, "activity_shift": 3, "rate_shift": 2, "target": 900}
            self.sparta("Feedback", "feedback", ["state", joined], ["next_state"], **law)
        return self._model()

    def _cells(self, scale: str) -> list[int]:
        side = int(self.grid**0.5)
        if scale != "context":
            return list(range(self.grid))
        return [p // side // 2 * CELLS + p % side // 2 for p in range(self.grid)]

    def _record(self, scales: list[str]) -> dict[str, str]:
        rng, fields = self.rng, ["msp", "temporal", "first", "interval", "rate"]
        totals: dict[str, str] = {}
        for n, scale in enumerate(scales):
            cues = [f"{cue}.{n}" for cue in ("first", "interval", "burst", "rate")]
            self.sparta("SpikeCues", f"cues.{n}", [scale], cues, frac=3)
            tables = [
                self.constant(f"{name}.{n}", rng.integers(-90, 90, (4, STEPS * 8 + 1)) / 16)
                for name in ("msp_tables", "temporal_tables")
            ]
            cells = self.constant(f"cells.{n}", self._cells(scale), np.int64)
            parts = {field: f"{field}.{n}.part" for field in fields}
            self.sparta("MSP", f"msp.{n}", [*cues, *tables, cells], list(parts.values()), frac=3)
            for field in fields:
                both = [totals[field], parts[field]] if n else []
                totals[field] = (
                    self.node("Add", f"{field}.add.{n}", both, [f"{field}.{n}.sum"]) if n else parts[field]
                )
        bounds = [self.constant("lowest", -128.0), self.constant("highest", 2047 / 16)]
        for field in ("msp", "temporal"):
            totals[field] = self.node("Clip", f"{field}.clip", [totals[field], *bounds], [field])
        return totals

    def _group(self) -> str:
        if self.full:
            return self.sparta("PatchGroup", "group", ["rate.2.sum"], ["group"], tokens=GROUPS)
        return self.constant("group", [range(self.grid)], np.int64)

    def _grouped(self, name: str, value: str) -> str:
        if not self.full:
            return value
        return self.node("GatherElements", f"{name}.grouping", [value, "group"], [f"{name}.grouped"], axis=1)

    def _select(self, tokens: dict[str, str], group: str) -> str:
        if not self.full:
            self.node("Identity", "score", [tokens["msp"]], ["score"])
            self.sparta("TopKTokens", "topk", ["score", "k"], ["winners"])
            return "k"
        centre = {"height": self.size // 2, "width": self.size // 2, "inhibition": 40}
        self.sparta("CentreSurround", "spatial", ["rate.2.sum", group], ["spatial"], **centre)
        inputs = ["spatial", tokens["msp"], tokens["temporal"], *self.mlp("fusion")]
        shifts = {"hidden_shift": 5, "shift": 8}
        self.sparta("TokenMLP", "fusion", inputs, ["score"], fracs=[3, 4, 4], frac=4, **shifts)
        inputs = [tokens["first"], tokens["interval"], tokens["rate"], "k", *self.mlp("sparsity")]
        table = self.constant("k_table", np.linspace(GROUPS, 2, 256).round(), np.int64)
        outputs = ["dynamic_k", "chosen_k"]
        self.sparta("DynamicK", "dynamic_k", [*inputs, table], outputs, frac=3, hidden_shift=2, shift=8)
        self.sparta("TopKTokens", "topk", ["score", "chosen_k"], ["winners"])
        return "chosen_k"

    def _gate(self, tokens: dict[str, str], scales: list[str], group: str, k: str) -> str:
        rng, full = self.rng, self.full
        gains = [self.constant("alpha", 1.25), self.constant("beta", 0.5)]
        timing = self.constant("timing", rng.integers(0, 256, 128) / 64 if full else [1.0])
        self.sparta("TokenGain", "gain", ["winners", k, tokens["msp"], *gains, timing], ["gain"])
        parts = []
        for n, scale in enumerate(scales):
            output = f"tokens.{n}" if full else "tokens"
            inputs = [scale, f"cells.{n}", "gain", group]
            parts.append(
                self.sparta("TokenGate", f"gate.{n}", inputs, [output], frac=4, bits=8, signed=int(full))
            )
        if not full:
            self.sparta("GatherTokens", "gather", ["tokens", "winners"], ["selected"])
            return "winners"
        self.node("Concat", "tokens", parts, ["tokens"], axis=2)
        self.sparta("GatedRate", "gated", [tokens["rate"], "gain"], ["gated"])
        inputs = [tokens["first"], tokens["interval"], "gated", *self.mlp("priority")]
        attributes = {"fracs": [3, 3, 3], "frac": 4, "hidden_shift": 2, "shift": 8}
        self.sparta("TokenMLP", "priority", inputs, ["priority"], **attributes)
        self.sparta("TopKTokens", "ranking", ["priority", k], ["index"])
        self.sparta("GatherTokens", "gather", ["tokens", "index"], ["selected"])
        return "index"

    def linear(self, name: str, source: str, output: str, shape: tuple[int, int], frac: int, to: int) -> None:
        weight = self.integers(f"{name}.weight", self.rng.integers(-120, 120, shape), frac, np.int8)
        self.node("MatMul", name, [source, weight], [f"{name}.dot"])
        bias = self.integers(f"{name}.bias", self.rng.integers(-500, 500, shape[1]), frac + 4, np.int32)
        self.node("Add", f"{name}.add", [f"{name}.dot", bias], [f"{name}.sums"])
        self.quant(f"{name}.quant", f"{name}.sums", output, 8, to)

    def _attend(self, tokens: dict[str, str], index: str, k: str) -> list[str]:
        rng, full, features = self.rng, self.full, self.features
        temperature = self.constant("temperature", rng.integers(0, 256, 128) / 64 if full else [1.0])
        fracs = {"frac_query": 4, "frac_key": 3, "frac_value": 4 if full else 5}
        x, results = "selected", []
        for layer in range(2 if full else 1):
            for name, frac in fracs.items():
                part = f"{name.removeprefix('frac_')}.{layer}"
                self.linear(part, x, part, (features, features), 7, frac)
            parts = [f"{name}.{layer}" for name in ("query", "key", "value")]
            inputs = [*parts, tokens["msp"], tokens["temporal"], index, k, temperature]
            attributes = fracs | {"heads": 2 if full else 1, "score_frac": 4}
            results.append(
                self.sparta(
                    "SparseAttention", f"attention.{layer}", inputs, [f"attention.{layer}"], **attributes
                )
            )
            if full and not layer:
                self.node("Concat", "join", [x, results[0]], ["joined"], axis=2)
                self.linear("hidden.0", "joined", "hidden.0", (2 * features, features), 7, 4)
                x = "hidden.0"
        return results

    def _classify(self, attention: str) -> None:
        rng, features = self.rng, self.features
        axes = self.constant("axes", [1], np.int64)
        for name, source in (("tokens", "tokens"), ("attention", attention)):
            self.node("ReduceSum", f"{name}.sum", [source, axes], [f"{name}.total"], keepdims=0)
        self.node("Add", "pool", ["tokens.total", "attention.total"], ["pool.sums"])
        self.quant("pool.quant", "pool.sums", "pooled", 8, 1)
        weight = self.integers("classifier.weight", rng.integers(-90, 90, (features, CLASSES)), 6, np.int8)
        self.node("MatMul", "classifier", ["pooled", weight], ["classifier.dot"])
        bias = self.integers("classifier.bias", rng.integers(-90, 90, CLASSES), 7, np.int32)
        self.node("Add", "classifier.add", ["classifier.dot", bias], ["logits"])

    def _model(self) -> ModelProto:
        image = ["batch", CHANNELS, self.size, self.size]
        source, shape = ("pixels", image) if self.full else ("spikes", [STEPS, *image])
        inputs = [helper.make_tensor_value_info(source, TensorProto.FLOAT, shape)]
        inputs.append(helper.make_tensor_value_info("k", TensorProto.INT64, [1]))
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])]
        if self.full:
            inputs.append(helper.make_tensor_value_info("state", TensorProto.INT64, ["states"]))
            outputs.append(helper.make_tensor_value_info("next_state", TensorProto.INT64, ["batch"]))
        else:
            del self.arrays["state"]
        arrays = [numpy_helper.from_array(array, name) for name, array in self.arrays.items()]
        name = "full" if self.full else "small"
        graph = helper.make_graph(self.nodes, name, inputs, outputs, arrays)
        domains = {"": 20, "sparta": 1, "qonnx.custom_op.general": 1}
        opsets = [helper.make_opsetid(*entry) for entry in domains.items()]
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
    """The plain network."""
    return ModelBuilder(seed=1).build()


@pytest.fixture
def full_model() -> ModelProto:
    """The network with every part."""
    return ModelBuilder(seed=3, full=True).build()


@pytest.fixture
def make_model() -> Callable[..., ModelProto]:
    """Either network with other weights for another seed."""
    return lambda seed, full=False: ModelBuilder(seed, full=full).build()


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
    """The plain network as IR."""
    return load(model)


@pytest.fixture
def spikes() -> np.ndarray:
    """Six samples for the plain network: random at several rates, one silent, one full."""
    rng = np.random.default_rng(2)
    rates = np.array([0.1, 0.3, 0.5, 0.8, 0.0, 1.0]).reshape(-1, 1, 1, 1, 1)
    return (rng.random((6, STEPS, CHANNELS, SIZE, SIZE)) < rates).astype(np.uint8)


@pytest.fixture
def pixels() -> np.ndarray:
    """Six samples for the full network: random at several contrasts, one black, one white."""
    contrast = np.array([0.1, 0.3, 0.6, 1.0, 0.0, 1e6]).reshape(-1, 1, 1, 1)
    image = np.random.default_rng(2).random((6, CHANNELS, 8, 8)) * contrast * 256
    return image.clip(0, 255).astype(np.uint8)
