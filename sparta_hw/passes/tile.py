"""Tiling: output channels onto lanes, weights into rows of the weight memory."""

from dataclasses import dataclass, replace

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import Graph, Projection, SpikeCues, SpikingConv, TokenGate, TokenPool
from sparta_hw.passes.plan import Plan, Tiling

__all__ = ["TileLayers", "channel_pitches"]


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def channel_pitches(graph: Graph, config: CoreConfig) -> dict[str, int]:
    """Entries from one position to the next of every tensor in the spike memory, by value name.

    The network's input keeps its own channel count; what the gate reads or writes, and the pooled features,
    take whole lines of L; other spikes take whole segments of P.
    """
    by_line = {op.input.name for op in graph.operations if isinstance(op, SpikeCues)}
    pitches = {graph.input.name: graph.input.shape[1]}
    for op in graph.operations:
        match op:
            case SpikingConv(output=output):
                multiple = config.line if output.name in by_line else config.lanes
                pitches[output.name] = _round_up(output.shape[1], multiple)
            case TokenGate(output=output) | TokenPool(output=output):
                pitches[output.name] = _round_up(output.shape[-1], config.line)
    return pitches


@dataclass(frozen=True)
class TileLayers:
    """Cut each weighted layer into tiles of P outputs and give each tile its block of weight rows.

    Raises
    ------
    CapacityError
        From :meth:`run`: the weight memory is too small.
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
            kernel_height, kernel_width = op.weight.shape[2:] if isinstance(op, SpikingConv) else (1, 1)
            in_pitch = pitches[op.input.name]
            own_pitch = _round_up(len(op.weight), config.lanes)
            out_pitch = pitches.get(op.output.name, own_pitch)
            run = kernel_width * in_pitch
            tilings[op.node] = tiling = Tiling(
                in_pitch=in_pitch,
                run=run,
                kernel_height=kernel_height,
                tiles=out_pitch // config.lanes,
                out_pitch=out_pitch,
                weight_base=base,
                weight_pitch=config.header_rows + kernel_height * run,
            )
            base += tiling.tiles * tiling.weight_pitch
        if base > config.weight_rows:
            largest = max(tilings, key=lambda node: tilings[node].tiles * tilings[node].weight_pitch)
            size = tilings[largest].tiles * tilings[largest].weight_pitch
            raise CapacityError(
                f"{graph.name}: {base} weight rows, weight_rows of core {config.name!r} is "
                f"{config.weight_rows} (the largest layer, {largest}, takes {size}); "
                f"use a core with weight_rows of at least {base}, or more lanes"
            )
        return replace(plan, tilings=tilings)
