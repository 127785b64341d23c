"""Deployed networks as ONNX files (docs/dialect.md)."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from sparta_hw import __version__
from sparta_hw.files import write_atomic
from sparta_hw.onnx_ops import OPSET_VERSION, QUANT_DOMAIN, SPARTA_DOMAIN, SPARTA_VERSION, functions
from sparta_quant.config import CUES, SpartaConfig
from sparta_quant.integers import NetworkIntegers
from sparta_quant.onnx_network import network_nodes
from sparta_quant.onnx_spiking import input_name
from sparta_quant.spiking_network import SpikingNetwork
from sparta_quant.vectors import export_vectors

__all__ = ["build_model", "export_onnx", "export_vectors"]

_IR_VERSION = 10
_BATCH = "batch"
_SELECTED = "selected"
_STATES = "states"


def export_onnx(network: SpikingNetwork, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write ``network`` as an ONNX file of the dialect; a reader never sees half a file.

    Parameters
    ----------
    network : SpikingNetwork
        Deployed or not; its integers are written.
    path : path
        Destination.
    metadata : mapping of str
        More ``metadata_props``, such as the accuracy; the network's name is always there.
    """
    model = build_model(network.integers(), metadata or {})
    write_atomic(path, model.SerializeToString(deterministic=True))


def build_model(integers: NetworkIntegers, metadata: Mapping[str, str]) -> ModelProto:
    """The network as a checked model with function bodies, in memory."""
    config, nodes = integers.config, network_nodes(integers)
    shape = config.input if config.coding == "direct" else (_BATCH, *config.input)
    leading = _BATCH if config.coding == "direct" else config.timesteps
    inputs = [_real(input_name(config), (leading, *shape))]
    if config.tokens:
        inputs.append(_integer("k", (1,)))
    outputs = [_real("logits", (_BATCH, config.classes))]
    if config.feedback:
        inputs.append(_integer("state", (_STATES,)))
        outputs.append(_integer("next_state", (_BATCH,)))
    graph = helper.make_graph(
        nodes.nodes,
        config.name,
        inputs=inputs,
        outputs=outputs,
        initializer=nodes.initializers,
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


def _real(name: str, shape: tuple[int | str, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _integer(name: str, shape: tuple[int | str, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, list(shape))


def _value_info(config: SpartaConfig) -> list[ValueInfoProto]:
    """Types and shapes of the layer results that are not outputs."""
    spikes = {f"stem.{n}": shape for n, shape in enumerate(config.shapes)}
    if config.readout == "counts":
        return [_real(name, (config.timesteps, _BATCH, *shape)) for name, shape in spikes.items()]
    tokens, features, grid = config.tokens, config.features, config.grid_tokens
    ranked = (_BATCH, _SELECTED, features)
    positions = [grid] * len(config.scale_channels)
    if config.branches is not None:
        cells = config.branches.cells
        spikes["fine"] = (config.branches.fine, *config.grid)
        spikes["local"] = (config.branches.local, *config.grid)
        spikes["context"] = (config.branches.context, cells, cells)
        positions[-1] = cells**2
    infos = [_real(name, (config.timesteps, _BATCH, *shape)) for name, shape in spikes.items()]
    infos += [_real(f"{cue}.{n}", (_BATCH, count)) for n, count in enumerate(positions) for cue in CUES]
    infos += [_real(name, (_BATCH, grid)) for name in ("msp", "temporal", "first", "interval", "rate")]
    if config.groups is not None:
        infos.append(_integer("group", (_BATCH, tokens)))
    if config.fusion and config.spatial:
        infos.append(_real("spatial", (_BATCH, tokens)))
    infos.append(_real("score", (_BATCH, tokens)))
    if config.dynamic_k:
        infos.append(_integer("dynamic_k", (_BATCH, 1)))
    infos += [_integer("winners", (_BATCH, _SELECTED)), _real("gain", (_BATCH, tokens))]
    infos.append(_real("tokens", (_BATCH, tokens, features)))
    if config.priority:
        infos += [_real("priority", (_BATCH, tokens)), _integer("index", (_BATCH, _SELECTED))]
    infos.append(_real("selected", ranked))
    for n in range(config.attention_layers):
        infos += [_real(f"{name}.{n}", ranked) for name in ("query", "key", "value", "attention")]
    infos += [_real(f"hidden.{n}", ranked) for n in range(config.attention_layers - 1)]
    return [*infos, _real("pooled", (_BATCH, features))]
