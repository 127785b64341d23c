"""Stem and branches of a deployed network as the nodes of docs/dialect.md."""

from dataclasses import replace

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_quant.config import SpartaConfig, StemLayer
from sparta_quant.integers import NetworkIntegers, SpikingIntegers
from sparta_quant.onnx_nodes import Nodes
from sparta_quant.sten import branch_layers

__all__ = ["input_name", "spiking_nodes"]


def input_name(config: SpartaConfig) -> str:
    """Name of the graph's input."""
    return "pixels" if config.coding == "direct" else "spikes"


def spiking_nodes(graph: Nodes, integers: NetworkIntegers) -> list[str]:
    """Stem, then branches; answers with the spikes of each scale."""
    config, parts = integers.config, integers.spiking
    depth, shapes = len(config.stem), (config.input, *config.shapes)
    x = input_name(config)
    for n, layer in enumerate(config.stem):
        _spiking(graph, config, f"stem.{n}", x, parts[n], layer, shapes[n], shapes[n + 1])
        x = f"stem.{n}"
    if config.branches is None:
        return [x]
    layers = branch_layers(config)
    for part, (name, layer) in zip(parts[depth:], layers.items(), strict=True):
        side = config.branches.cells if name == "context" else None
        height, width = (side, side) if side else config.grid
        shape = (layer.channels, height, width)
        _spiking(graph, config, name, x, _whole_cells(part, layer.kernel), layer, shapes[-1], shape)
    return list(layers)


def _spiking(
    graph: Nodes,
    config: SpartaConfig,
    name: str,
    x: str,
    part: SpikingIntegers,
    layer: StemLayer,
    inputs: tuple[int, int, int],
    outputs: tuple[int, int, int],
) -> None:
    direct = x == "pixels"
    frames = x if direct else graph.reshape(f"{name}.frames", x, (-1, *inputs))
    operands = [
        frames,
        graph.dequantized(f"{name}.conv.weight", part.conv.weight, np.int8, part.conv.frac),
    ]
    if part.conv.bias is not None:
        operands.append(graph.dequantized(f"{name}.conv.bias", part.conv.bias, np.int32, part.conv.frac))
    graph.node(
        "Conv",
        f"{name}.conv",
        operands,
        [f"{name}.sum"],
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.pad] * 4,
    )
    current = graph.quant(f"{name}.current", f"{name}.sum", f"{name}.frame_current", config.membrane)
    if direct:
        axis = graph.axes(f"{name}.step.axis", 0)
        graph.node("Unsqueeze", f"{name}.step", [current, axis], [f"{name}.step.output"])
        steps = graph.axes(f"{name}.steps.shape", config.timesteps, 1, 1, 1, 1)
        graph.node("Expand", f"{name}.steps", [f"{name}.step.output", steps], [f"{name}.steps.output"])
        current = f"{name}.steps.output"
    else:
        current = graph.reshape(f"{name}.sequence", current, (config.timesteps, -1, *outputs))
    hilif = [
        current,
        graph.real(f"{name}.hilif.tau_inv", part.hilif.leak, CoreConfig.tau_bits),
        graph.real(f"{name}.hilif.v_th", part.hilif.threshold, config.membrane_frac),
    ]
    if config.feedback:
        graph.sparta(
            "ThresholdOffset",
            f"{name}.offset",
            [hilif[-1], "state"],
            [f"{name}.offset.v_th"],
            frac=config.membrane_frac,
            gain=config.feedback.gain,
            limit=config.feedback.limit,
        )
        hilif[-1] = f"{name}.offset.v_th"
    graph.sparta(
        "HILIF",
        f"{name}.hilif",
        hilif,
        [name],
        frac=config.membrane_frac,
        tau_bits=CoreConfig.tau_bits,
        reset=layer.reset,
        v_reset=config.layer_v_reset(layer) * config.membrane.scale,
    )


def _whole_cells(part: SpikingIntegers, side: int) -> SpikingIntegers:
    """1x1 weights of sums over a cell, repeated at each of its places; other weights as they are."""
    weight = part.conv.weight
    if weight.shape[2] == side:
        return part
    return replace(part, conv=replace(part.conv, weight=weight.repeat(side, 2).repeat(side, 3)))
