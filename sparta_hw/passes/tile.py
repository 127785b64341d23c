"""Tiling: output channels onto lanes, weights into rows of the weight memory."""

from dataclasses import dataclass, replace

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import (
    GatherTokens,
    Graph,
    Projection,
    SparseAttention,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenPool,
    Value,
)
from sparta_hw.passes.plan import Plan, Tiling

__all__ = ["TileLayers", "channel_pitches"]


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _slots(channels: int, config: CoreConfig) -> int:
    """Parts of F lanes in each of as few, equal tiles as hold these channels."""
    parts = -(-channels // config.fire_lanes)
    return -(-parts // -(-parts // config.fire_share))


def _whole_tiles(channels: int, config: CoreConfig) -> int:
    return _round_up(channels, _slots(channels, config) * config.fire_lanes)


def channel_pitches(graph: Graph, config: CoreConfig) -> dict[str, int]:
    """Entries from one position to the next of every tensor that the array reads or writes, by value name.

    The network's input keeps its own channel count; what GATE, GATHER, ATTEND or POOL touch takes whole lines of
    L; other spikes take whole tiles.
    """
    by_line = {op.input.name for op in graph.operations if isinstance(op, SpikeCues)}
    pitches = {graph.input.name: graph.input.shape[-3]}
    for op in graph.operations:
        match op:
            case SpikingConv(output=output):
                channels = output.shape[1]
                pitches[output.name] = (
                    _round_up(channels, config.line)
                    if output.name in by_line
                    else _whole_tiles(channels, config)
                )
            case TokenGate() | GatherTokens() | SparseAttention() | TokenPool():
                pitches[op.output.name] = _round_up(op.output.shape[-1], config.line)
            case Projection(logits=False):
                pitches[op.output.name] = _round_up(op.output.shape[-1], config.line)
    return pitches


@dataclass(frozen=True)
class TileLayers:
    """Cut each weighted layer into tiles of P outputs and give each tile its block of weight rows.

    Raises
    ------
    CapacityError
        From :meth:`run`: the weight memory is too small, for all weights or for two tiles of streamed ones.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan with its ``tilings``."""
        graph, config = plan.graph, plan.config
        pitches = channel_pitches(graph, config)
        tilings: dict[str, Tiling] = {}
        base = 0
        for op in graph.operations:
            if not isinstance(op, SpikingConv | Projection):
                continue
            source, kernel = (op.input, op.weight.shape[2:]) if isinstance(op, SpikingConv) else _window(op)
            in_pitch = pitches[source.name]
            out_pitch = pitches.get(op.output.name, _whole_tiles(len(op.weight), config))
            run, height = kernel[1] * in_pitch, kernel[0]
            if _covers(op):
                run, height = run * height, 1
            slots = _slots(out_pitch, config)
            tilings[op.node] = tiling = Tiling(
                in_pitch=in_pitch,
                run=run,
                kernel_height=height,
                slots=slots,
                tiles=out_pitch // (slots * config.fire_lanes),
                out_pitch=out_pitch,
                weight_base=base,
                weight_pitch=config.header_rows + height * run,
            )
            base += tiling.tiles * tiling.weight_pitch
        if config.stream_bits:
            _check_ring(graph, config, tilings)
        elif base > config.weight_rows:
            largest = max(tilings, key=lambda node: tilings[node].tiles * tilings[node].weight_pitch)
            size = tilings[largest].tiles * tilings[largest].weight_pitch
            raise CapacityError(
                f"{graph.name}: {base} weight rows, weight_rows of core {config.name!r} is "
                f"{config.weight_rows} (the largest layer, {largest}, takes {size}); "
                f"use a core with weight_rows of at least {base}, or more lanes"
            )
        return replace(plan, tilings=tilings)


def _check_ring(graph: Graph, config: CoreConfig, tilings: dict[str, Tiling]) -> None:
    """Streamed weights: a tile, the one after it, and one burst that may reach beyond it must fit the memory.

    Tiles follow one another in the order of the layers, and the first one of the next inference follows the last.
    """
    order = [
        (node, tiling.weight_pitch) for node, tiling in tilings.items() for _ in range(min(tiling.tiles, 2))
    ]
    pairs = zip(order, order[1:] + order[:1], strict=True)
    (first, rows), (second, more) = max(pairs, key=lambda pair: pair[0][1] + pair[1][1])
    needed = rows + more + config.burst_rows
    if needed > config.weight_rows:
        raise CapacityError(
            f"{graph.name}: a tile of {first} has {rows} weight rows, the next one, of {second}, {more}; with a burst "
            f"of {config.burst_rows} these are {needed}, weight_rows of core {config.name!r} is {config.weight_rows}; "
            f"use a core with weight_rows of at least {1 << (needed - 1).bit_length()}"
        )


def _covers(op: SpikingConv | Projection) -> bool:
    """Whether one window is the whole input: its rows follow one another, and are one."""
    return isinstance(op, SpikingConv) and not op.pad and op.weight.shape[2:] == op.input.shape[-2:]


def _window(op: Projection) -> tuple[Value, tuple[int, ...]]:
    """The first input of a projection, and its window: a row for each input, one column."""
    return op.inputs[0], (len(op.inputs), 1)
