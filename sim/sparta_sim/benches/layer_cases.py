"""Random LAYER descriptors: operations of the IR, their memories, and the interpreter's results."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_hw.interpreter.attention import projection
from sparta_hw.interpreter.spiking import spiking_conv
from sparta_hw.ir import Kind, Projection, SpikingConv, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.passes.plan import Tiling
from sparta_hw.passes.weights import weight_rows
from sparta_hw.tensor_layout import TensorLayout
from sparta_sim.benches.memories import spike_layout

__all__ = ["LayerCase", "convolution_case", "projection_case"]

IntArray = NDArray[np.int64]

BIT, BYTE, UBYTE, MEMBRANE = (
    FixedPoint(1, 0, False),
    FixedPoint(8, 3),
    FixedPoint(8, 3, False),
    FixedPoint(16, 6),
)
IN_BASE, OUT_BASE, WEIGHT_BASE = 5, 600, 3


@dataclass(frozen=True)
class LayerCase:
    """One layer.

    Parameters
    ----------
    fields : dict
        Of its descriptor.
    source, target : TensorLayout
        Its input and output; ``target`` counts for spikes only.
    values, expected : int array
        Input, and the interpreter's output: spikes (T, C, H, W), or integers (positions, outputs).
    weights : list of int
        The weight memory up to the layer's last row.
    topk : int
        K of a layer with ``ranked``.
    """

    fields: dict[str, int]
    source: TensorLayout
    target: TensorLayout
    values: IntArray
    expected: IntArray
    weights: list[int]
    topk: int


def _case(
    config: CoreConfig,
    op: SpikingConv | Projection,
    pitch: int,
    values: IntArray,
    fields: dict[str, int],
) -> LayerCase:
    is_conv = isinstance(op, SpikingConv)
    kernel_height, kernel_width = op.weight.shape[2:] if isinstance(op, SpikingConv) else (1, 1)
    inputs = op.input if isinstance(op, SpikingConv) else op.inputs[0]
    source, run = spike_layout(config, inputs, pitch, IN_BASE), kernel_width * pitch
    tiles, rows = -(-len(op.weight) // config.lanes), config.header_rows + kernel_height * run
    tiling = Tiling(
        in_pitch=pitch, run=run, kernel_height=kernel_height, slots=1, tiles=tiles, out_pitch=tiles * config.lanes,
        weight_base=WEIGHT_BASE, weight_pitch=rows,
    )  # fmt: skip
    common = {
        "shift": op.shift, "kernel_height": kernel_height, "steps": source.steps, "groups": source.groups,
        "out_steps": source.steps, "out_groups": source.groups, "in_base": IN_BASE, "out_base": OUT_BASE,
        "run": run, "slots": 1, "tiles": tiles, "out_pitch": tiling.out_pitch, "outputs": len(op.weight),
        "weight_base": WEIGHT_BASE, "weight_pitch": rows,
    }  # fmt: skip
    if isinstance(op, SpikingConv):
        expected = spiking_conv(op, values[None], np.zeros(1, np.int64))[0]
    else:
        expected = np.atleast_2d(projection(op, (values[None],))[0])
    block = [int.from_bytes(row.tobytes(), "little") for row in weight_rows(op, tiling, config)]
    return LayerCase(
        fields=common | fields,
        source=source,
        target=spike_layout(config, op.output, tiling.out_pitch, OUT_BASE),
        values=values,
        expected=expected,
        weights=[0] * WEIGHT_BASE + block,
        topk=1 if is_conv else len(expected),
    )


def convolution_case(config: CoreConfig, rng: np.random.Generator) -> LayerCase:
    """A spiking convolution with any kernel, stride, padding and reset."""
    steps, channels = int(rng.integers(1, config.max_steps + 1)), int(rng.integers(1, 7))
    kernel, stride = (int(n) for n in rng.integers(1, 4, 2))
    pad = int(rng.integers(0, kernel))
    height, width = (max(int(n), kernel - 2 * pad) for n in rng.integers(1, 6, 2))
    outputs, soft = int(rng.integers(1, 2 * config.lanes + 2)), bool(rng.integers(2))
    out_height, out_width = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
    spikes = Value("spikes", (steps, channels, height, width), BIT, Kind.SPIKES)
    op = SpikingConv(
        node="conv", input=spikes,
        output=Value("out", (steps, outputs, out_height, out_width), BIT, Kind.SPIKES),
        weight=rng.integers(-128, 128, (outputs, channels, kernel, kernel)),
        bias=rng.integers(-300, 300, outputs), shift=int(rng.integers(0, 3)), stride=stride, pad=pad,
        leak=rng.integers(1, 256, outputs), threshold=rng.integers(1, 200, outputs), soft_reset=soft,
        v_reset=0 if soft else int(rng.integers(-300, 300)), membrane=MEMBRANE,
    )  # fmt: skip
    values = (rng.random(spikes.shape) < rng.choice([0.02, 0.2, 0.5, 1.0])).astype(np.int64)
    fields = {
        "soft": int(soft), "destination": Destination.SPIKES, "pad": pad, "in_height": height,
        "row_pitch": width * channels, "out_height": out_height, "out_width": out_width,
        "x_step": stride * channels, "y_step": stride, "x_start": pad * channels, "v_reset": op.v_reset,
    }  # fmt: skip
    return _case(config, op, channels, values, fields)


def projection_case(config: CoreConfig, rng: np.random.Generator, ranked: bool) -> LayerCase:
    """A projection of the selected tokens (``ranked``), or a classifier of one signed vector."""
    features, outputs = (
        int(rng.integers(1, config.max_features + 1)),
        int(rng.integers(1, 2 * config.lanes + 2)),
    )
    topk = int(rng.integers(1, config.max_topk + 1))
    pitch = -(-features // config.line) * config.line
    kind = UBYTE if ranked else BYTE
    source = Value("tokens", (topk, features) if ranked else (features,), kind)
    op = Projection(
        node="projection", inputs=(source,),
        output=Value("out", (topk, outputs) if ranked else (outputs,), BYTE),
        weight=rng.integers(-128, 128, (outputs, features)), bias=rng.integers(-9000, 9000, outputs),
        shift=7 if ranked else 0,
    )  # fmt: skip
    fields = {
        "integer": 1, "signed": int(kind.signed), "ranked": int(ranked),
        "destination": Destination.KEY if ranked else Destination.LOGITS,
        "in_height": 1, "row_pitch": pitch * (topk if ranked else 1), "x_step": pitch, "out_height": 1,
        "out_width": 1,
    }  # fmt: skip
    values = rng.integers(kind.min, kind.max + 1, source.shape) >> rng.integers(0, 8, source.shape)
    return _case(config, op, pitch, values, fields)
