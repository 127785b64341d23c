"""Deployed networks as ONNX files (docs/dialect.md) and their layers as test vectors."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from sparta_hw import __version__
from sparta_hw.config import CoreConfig
from sparta_hw.files import write_atomic
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_ops import OPSET_VERSION, QUANT_DOMAIN, SPARTA_DOMAIN, SPARTA_VERSION, functions
from sparta_quant.config import SpartaConfig
from sparta_quant.integers import NetworkIntegers, WeightIntegers
from sparta_quant.network import SpartaNetwork

__all__ = ["build_model", "export_onnx", "export_vectors"]

_IR_VERSION = 10
_BATCH = "batch"
_SELECTED = "selected"


def export_onnx(network: SpartaNetwork, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write ``network`` as an ONNX file of the dialect; a reader never sees half a file.

    Parameters
    ----------
    network : SpartaNetwork
        Deployed or not; its integers are written.
    path : path
        Destination.
    metadata : mapping of str
        More ``metadata_props``, such as the accuracy; the network's name is always there.
    """
    model = build_model(network.integers(), metadata or {})
    write_atomic(path, model.SerializeToString(deterministic=True))


def export_vectors(
    network: SpartaNetwork,
    spikes: NDArray[np.uint8],
    labels: NDArray[np.int64],
    path: str | Path,
    k: int | None = None,
) -> None:
    """Write inputs and every layer's integers as a compressed ``.npz`` of arrays with the sample first.

    Arrays are ``input`` uint8 (n, T, C, H, W), ``labels`` (n,), ``k`` (), and one for each name of
    docs/dialect.md: spikes uint8 (n, T, C', H', W'), the others int32, each value times ``2**frac``.

    Parameters
    ----------
    network : SpartaNetwork
        Is computed in float64, deployed.
    spikes : uint8 array (n, T, C, H, W)
        0 or 1.
    labels : int array (n,)
        Classes.
    path : path
        Destination.
    k : int or None
        Tokens that attend; the network's default if None.
    """
    deployed = network.deploy().double()
    layers = deployed.layer_integers(torch.from_numpy(spikes).transpose(0, 1).double(), k)
    k = network.config.default_k if k is None else k
    arrays: dict[str, NDArray] = {"input": spikes, "labels": labels, "k": np.array(k)}
    for name, values in layers.items():
        is_spikes = name.startswith("stem.")
        sample_first = values.transpose(0, 1) if is_spikes else values
        arrays[name] = sample_first.numpy().astype(np.uint8 if is_spikes else np.int32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())


def build_model(integers: NetworkIntegers, metadata: Mapping[str, str]) -> ModelProto:
    """The network as a checked model with function bodies, in memory."""
    builder = _Builder(integers.config)
    builder.network(integers)
    config = integers.config
    graph = helper.make_graph(
        builder.nodes,
        config.name,
        inputs=[
            _real("spikes", (config.timesteps, _BATCH, *config.input)),
            helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
        ],
        outputs=[_real("logits", (_BATCH, config.classes))],
        initializer=builder.initializers,
        value_info=_value_info(config),
    )
    model = helper.make_model(
        graph,
        ir_version=_IR_VERSION,
        functions=functions(),
        opset_imports=[
            helper.make_opsetid("", OPSET_VERSION),
            helper.make_opsetid(SPARTA_DOMAIN, SPARTA_VERSION),
            helper.make_opsetid(QUANT_DOMAIN, 1),
        ],
        producer_name="sparta_hw",
        producer_version=__version__,
    )
    helper.set_model_props(model, {"name": config.name, **metadata})
    onnx.checker.check_model(model, full_check=True)
    return model


class _Builder:
    """Nodes and initializers in the order of docs/dialect.md."""

    def __init__(self, config: SpartaConfig) -> None:
        self.config = config
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def network(self, integers: NetworkIntegers) -> None:
        config = self.config
        spikes = "spikes"
        self._constant("k", np.array([config.default_k], np.int64))
        for n in range(len(config.stem)):
            spikes = self._stage(n, spikes, integers)
        cues = ("first", "interval", "burst", "rate")
        self._sparta("SpikeCues", "cues", [spikes], list(cues), frac=CoreConfig.cue_frac)
        tables = [
            self._constant(f"score.table_{cue}", (table * 2.0**-CoreConfig.score_frac).astype(np.float32))
            for cue, table in zip(cues, integers.score.tables, strict=True)
        ]
        self._sparta("TokenScore", "score", [*cues, *tables], ["score"], frac=CoreConfig.cue_frac)
        self._sparta("TopKTokens", "topk", ["score", "k"], ["index"])
        gains = [
            self._constant(f"gate.{name}", np.float32(gain * 2.0**-CoreConfig.gain_frac))
            for name, gain in (("alpha", integers.gate.alpha), ("beta", integers.gate.beta))
        ]
        self._sparta(
            "TokenGate",
            "gate",
            [spikes, "index", *gains],
            ["tokens"],
            frac=config.token_frac,
            bits=CoreConfig.token_bits,
        )
        self._sparta("GatherTokens", "gather", ["tokens", "index"], ["selected"])
        for name, weights in (("query", integers.query), ("key", integers.key), ("value", integers.value)):
            total = self._linear(name, "selected", weights, config.token_frac, f"{name}.sum")
            self._quant(f"{name}.quant", total, name, getattr(config, name))
        self._sparta(
            "SparseAttention",
            "attention",
            ["query", "key", "value", "score", "index"],
            ["attention"],
            frac_query=config.query_frac,
            frac_key=config.key_frac,
            frac_value=config.value_frac,
            score_frac=CoreConfig.score_frac,
        )
        self._pool()
        self._linear("classifier", "pooled", integers.classifier, config.pooled_frac, "logits")

    def _stage(self, n: int, spikes: str, integers: NetworkIntegers) -> str:
        """One spiking convolution; answers with the name of its spikes."""
        config, layer, name = self.config, self.config.stem[n], f"stem.{n}"
        channels = (config.input, *config.shapes)[n]
        weights, hilif = integers.convs[n], integers.hilifs[n]
        frames = self._reshape(f"{name}.frames", spikes, (-1, *channels))
        inputs = [frames, self._dequantized(f"{name}.conv.weight", weights.weight, np.int8, weights.frac)]
        if weights.bias is not None:
            inputs.append(self._dequantized(f"{name}.conv.bias", weights.bias, np.int32, weights.frac))
        self._node(
            "Conv",
            f"{name}.conv",
            inputs,
            [f"{name}.sum"],
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[layer.pad] * 4,
        )
        self._quant(f"{name}.current", f"{name}.sum", f"{name}.frame_current", config.membrane)
        current = self._reshape(
            f"{name}.sequence", f"{name}.frame_current", (config.timesteps, -1, *config.shapes[n])
        )
        tau_inv = self._constant(
            f"{name}.hilif.tau_inv", (hilif.leak * 2.0**-CoreConfig.tau_bits).astype(np.float32)
        )
        v_th = self._constant(
            f"{name}.hilif.v_th", (hilif.threshold * config.membrane.scale).astype(np.float32)
        )
        self._sparta(
            "HILIF",
            f"{name}.hilif",
            [current, tau_inv, v_th],
            [name],
            frac=config.membrane_frac,
            tau_bits=CoreConfig.tau_bits,
            reset=layer.reset,
            v_reset=config.layer_v_reset(layer) * config.membrane.scale,
        )
        return name

    def _pool(self) -> None:
        axis = self._constant("pool.axis", np.array([1], np.int64))
        self._node("ReduceSum", "pool.tokens", ["tokens", axis], ["pool.tokens.sum"], keepdims=0)
        self._node("ReduceSum", "pool.attention", ["attention", axis], ["pool.attention.sum"], keepdims=0)
        self._node("Add", "pool", ["pool.tokens.sum", "pool.attention.sum"], ["pool.sum"])
        self._quant("pool.quant", "pool.sum", "pooled", self.config.pooled)

    def _linear(self, name: str, x: str, weights: WeightIntegers, input_frac: int, output: str) -> str:
        weight = self._dequantized(f"{name}.weight", weights.weight.T, np.int8, weights.frac)
        if weights.bias is None:
            self._node("MatMul", name, [x, weight], [output])
            return output
        self._node("MatMul", name, [x, weight], [f"{name}.product"])
        bias = self._dequantized(f"{name}.bias", weights.bias, np.int32, weights.frac + input_frac)
        self._node("Add", f"{name}.add", [f"{name}.product", bias], [output])
        return output

    def _reshape(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        sizes = self._constant(f"{name}.shape", np.array(shape, np.int64))
        self._node("Reshape", name, [x, sizes], [f"{name}.output"])
        return f"{name}.output"

    def _quant(self, name: str, x: str, output: str, fmt: FixedPoint) -> None:
        scale = self._constant(f"{name}.scale", np.float32(fmt.scale))
        zero = self._constant(f"{name}.zero_point", np.float32(0))
        bits = self._constant(f"{name}.bits", np.float32(fmt.bits))
        self._node(
            "Quant",
            name,
            [x, scale, zero, bits],
            [output],
            domain=QUANT_DOMAIN,
            signed=int(fmt.signed),
            narrow=0,
            rounding_mode="FLOOR",
        )

    def _dequantized(self, name: str, values: NDArray[np.int64], dtype: type, frac: int) -> str:
        integers = self._constant(name, values.astype(dtype))
        # ONNX Runtime makes MatMulNBits of a MatMul behind a rank-0 scale, which rounds its input to 8 bits.
        scale = self._constant(
            f"{name}.scale", np.full((1,) if values.ndim == 2 else (), 2.0**-frac, np.float32)
        )
        self._node("DequantizeLinear", f"{name}.dequantize", [integers, scale], [f"{name}.value"])
        return f"{name}.value"

    def _constant(self, name: str, values: NDArray | np.generic) -> str:
        self.initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
        )
        return name

    def _sparta(
        self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: object
    ) -> None:
        self._node(op, name, inputs, outputs, domain=SPARTA_DOMAIN, **attributes)

    def _node(self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))


def _real(name: str, shape: tuple[int | str, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _value_info(config: SpartaConfig) -> list[ValueInfoProto]:
    """Types and shapes of the layer results."""
    tokens, features = config.tokens, config.features
    stem = [_real(f"stem.{n}", (config.timesteps, _BATCH, *shape)) for n, shape in enumerate(config.shapes)]
    per_token = [_real(name, (_BATCH, tokens)) for name in ("first", "interval", "burst", "rate", "score")]
    index = helper.make_tensor_value_info("index", TensorProto.INT64, [_BATCH, _SELECTED])
    per_rank = [
        _real(name, (_BATCH, _SELECTED, features))
        for name in ("selected", "query", "key", "value", "attention")
    ]
    all_tokens = _real("tokens", (_BATCH, tokens, features))
    return [*stem, *per_token, index, all_tokens, *per_rank, _real("pooled", (_BATCH, features))]
