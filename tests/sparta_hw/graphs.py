"""Random small SPARTA networks as graphs, built with NumPy alone; what is not forced fits the ``tiny`` core."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Graph, Kind, Operation, SpikeCount, SpikingConv, Value
from sparta_hw.numerics import FixedPoint
from tests.sparta_hw.graph_builder import GraphBuilder, Parts

__all__ = ["plain_graph", "random_graph", "random_input", "with_operation"]

_STEM_CHANNELS = ((3, 5, 8, 12), (5, 8, 11, 16))


def random_graph(seed: int, **force: Any) -> Graph:
    """A valid network; ``force`` sets fields of :class:`~tests.sparta_hw.graph_builder.Parts`, the others are drawn."""
    rng = np.random.default_rng(seed)
    heads, size = (
        force.get(name, int(rng.choice(some))) for name, some in (("heads", [1, 2]), ("size", [2, 3, 4]))
    )
    channels, stride, first, second = (int(rng.choice(some)) for some in ([1, 2, 3], [1, 2], *_STEM_CHANNELS))
    stem = ((first, 3, stride, 1), (second, 3, 1, 1))
    drawn: dict[str, Any] = {
        "coding": "direct" if rng.random() < 0.25 else "spikes",
        "steps": int(rng.integers(1, 9)),
        "size": size,
        "image": (channels, size * stride, size * stride),
        "stem": stem[: int(rng.integers(1, 3))],
        "features": 8 * heads if heads > 1 else int(rng.integers(5, 14)),
        "widths": tuple(map(int, rng.permutation([8, 8, 16]))),
        "cells": int(rng.choice([cells for cells in range(1, size + 1) if size % cells == 0])),
        "tokens": int(rng.integers(2, 17)) if rng.random() < 0.4 else None,
        "heads": heads,
        "layers": int(rng.integers(1, 4)),
        "classes": int(rng.integers(2, 11)),
        "default_k": None,
    }
    flags = [field.name for field in fields(Parts) if field.type is bool]
    drawn |= {name: bool(rng.integers(2)) for name in flags}
    return GraphBuilder(rng, Parts(**(drawn | force)), f"random{seed}").build()


def plain_graph(
    seed: int,
    layers: tuple[tuple[int, int, int, int], ...],
    image: tuple[int, int, int],
    steps: int,
    bits: int = 8,
) -> Graph:
    """A chain of spiking layers (channels, kernel, stride, pad) of ``image``, whose last spikes are counted."""
    rng, bit = np.random.default_rng(seed), FixedPoint(1, 0, signed=False)
    value = source = Value("spikes", (steps, *image), bit, Kind.SPIKES)
    operations: list[Operation] = []
    largest = (1 << bits - 1) - 1
    for n, (outputs, kernel, stride, pad) in enumerate(layers):
        channels, *sides = value.shape[1:]
        grid = tuple((side + 2 * pad - kernel) // stride + 1 for side in sides)
        weight = np.rint(rng.normal(largest / 8, largest / 3, (outputs, channels, kernel, kernel)))
        weight = weight.clip(-largest - 1, largest).astype(np.int64)
        soft = bool(rng.integers(2))
        usual = np.abs(weight).sum(axis=(1, 2, 3)) * 0.3
        operations.append(
            SpikingConv(
                node=f"stem.{n}.conv",
                output=Value(f"stem.{n}", (steps, outputs, *grid), bit, Kind.SPIKES),
                input=value,
                weight=weight,
                bias=rng.integers(-largest, largest + 1, outputs),
                shift=int(rng.integers(0, 3)),
                stride=stride,
                pad=pad,
                leak=rng.integers(60, 256, outputs),
                threshold=np.maximum(usual * rng.uniform(0.02, 0.3, outputs), 1).astype(np.int64),
                soft_reset=soft,
                v_reset=0 if soft else int(rng.integers(-20, 9)),
                membrane=FixedPoint(CoreConfig.membrane_bits, 8),
            )
        )
        value = operations[-1].output
    logits = Value("logits", value.shape[1:2], FixedPoint(32, 0))
    operations.append(SpikeCount(node="counts", output=logits, input=value))
    return Graph(name=f"plain{seed}", input=source, operations=tuple(operations), default_k=0)


def random_input(graph: Graph, seed: int, n: int) -> NDArray[np.uint8]:
    """Inputs (n, *shape): spikes of several rates, one sample silent and one full, or pixels."""
    rng = np.random.default_rng(seed + 1)
    shape = (n, *graph.input.shape)
    if graph.input.kind is Kind.INTEGERS:
        return rng.integers(0, 256, shape, np.uint8)
    rates = np.array([0.3, 0.5, 0.15, 0.0, 1.0, 0.8])[np.arange(n) % 6]
    return (rng.random(shape) < rates.reshape(-1, 1, 1, 1, 1)).astype(np.uint8)


def with_operation(graph: Graph, node: str, **changes: Any) -> Graph:
    """The same graph with fields of one operation replaced."""
    operations: list[Operation] = [
        replace(op, **changes) if op.node == node else op for op in graph.operations
    ]
    return replace(graph, operations=tuple(operations))
