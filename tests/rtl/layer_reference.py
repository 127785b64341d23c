"""What a LAYER descriptor means on raw memories, in plain Python: the reference of the neuron array."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination

Fields = dict[str, int]


@dataclass(frozen=True)
class Memories:
    """Rows of the memories as integers; K and the feedback state."""

    spikes: list[int]
    weights: list[int]
    topk: int = 1
    state: int = 0


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def _clip(value: int, bits: int) -> int:
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


def word(config: CoreConfig, fields: Fields, memories: Memories, entry: int) -> int:
    """All step bits of one input entry."""
    line, bits = (
        fields["in_base"] + entry // config.line * fields["groups"],
        entry % config.line * config.steps,
    )
    parts = (memories.spikes[line + g] >> bits & (1 << config.steps) - 1 for g in range(fields["groups"]))
    return sum(part << g * config.steps for g, part in enumerate(parts))


def window(fields: Fields, position: int) -> Iterator[tuple[int, int]]:
    """(entry, row after the header) of all inputs of one position."""
    y, x = (0, position) if fields["ranked"] else divmod(position, fields["out_width"])
    for ky in range(fields["kernel_height"]):
        iy = y * fields["y_step"] - fields["pad"] + ky
        for n in range(fields["run"]):
            column = x * fields["x_step"] - fields["x_start"] + n
            if 0 <= iy < fields["in_height"] and 0 <= column < fields["row_pitch"]:
                yield iy * fields["row_pitch"] + column, ky * fields["run"] + n


def hilif(fields: Fields, sums: list[int], bias: int, threshold: int, leak: int) -> int:
    """Spike word of one neuron (paper Algorithm 1)."""
    v, spikes = fields["v_reset"], 0
    for t, total in enumerate(sums):
        x = _clip((total + bias) >> fields["shift"], 16)
        v += ((x - v) * leak) >> 8
        if v >= threshold:
            spikes |= 1 << t
            v = v - threshold if fields["soft"] else fields["v_reset"]
    return spikes


def threshold(fields: Fields, header: int, state: int) -> int:
    """Threshold after feedback."""
    limit = fields["feedback_limit"]
    offset = max(-limit, min(limit, (state >> 8) * fields["feedback_gain"] >> 8))
    return max(1, min(32767, header + offset))


def recombined(fields: Fields, sums: list[int]) -> int:
    """One integer from its bit planes."""
    total, top = 0, len(sums) - 1
    for t, plane in enumerate(sums):
        total += plane * (-(2**top) if t == 0 and fields["signed"] else 2 ** (top - t))
    return total


def integer(fields: Fields, sums: list[int], bias: int) -> int:
    """Value of one neuron from its bit planes."""
    total = recombined(fields, sums)
    total = (total + bias) >> fields["shift"]
    return total if fields["destination"] == Destination.LOGITS else _clip(total, 8)


def parameters(config: CoreConfig, weight: Callable[[int, int], int], lane: int) -> int:
    """Bias, threshold and K of a lane, 48 bits, out of its tile's header rows."""
    slot, place = divmod(lane, config.fire_lanes)
    bits, share, found = config.weight_bits, config.fire_share, 0
    for n in range(48 // bits):
        row, part = divmod(slot * config.header_rows + n, share)
        found |= weight(row, part * config.fire_lanes + place) << bits * n
    return found


def run_layer(config: CoreConfig, fields: Fields, memories: Memories) -> tuple[list[dict], int]:
    """Result items in the hardware's order, and the active entries."""
    items, entries = [], 0
    positions = memories.topk if fields["ranked"] else fields["out_height"] * fields["out_width"]
    tokens = fields["destination"] == Destination.TOKENS
    values = fields["integer"] and not fields["direct"]
    for tile in range(fields["tiles"]):
        base = fields["weight_base"] + tile * fields["weight_pitch"]

        def weight(row: int, lane: int, base: int = base) -> int:
            return memories.weights[base + row] >> config.weight_bits * lane & (1 << config.weight_bits) - 1

        for position in range(positions):
            rows = [(word(config, fields, memories, e), row) for e, row in window(fields, position)]
            groups, mask = range(fields["groups"]), (1 << config.steps) - 1
            entries += sum(
                fields["dense"] or w >> g * config.steps & mask != 0 for w, _ in rows for g in groups
            )
            results = []
            for lane in range(config.lanes):
                sums = [
                    sum(
                        _signed(weight(config.header_rows + row, lane), config.weight_bits)
                        for w, row in rows
                        if w >> t & 1
                    )
                    for t in range(fields["steps"])
                ]
                header = parameters(config, weight, lane)
                bias = _signed(header, 24)
                if values:
                    value = integer(fields, sums, bias)
                    results.append(int(f"{value & 255:08b}"[::-1], 2) if tokens else value)
                else:
                    theta = threshold(fields, _signed(header >> 24, 16), memories.state)
                    if fields["direct"]:
                        sums = [recombined(fields, sums)] * fields["out_steps"]
                    results.append(hilif(fields, sums, bias, theta, header >> 40 & 255))
            if values and not tokens:
                items.append({"position": position, "tile": tile, "values": results})
                continue
            each = config.fire_lanes
            for g in range(fields["out_groups"]):
                for slot in range(fields["slots"]):
                    first = position * fields["out_pitch"] + (tile * fields["slots"] + slot) * each
                    items.append(
                        {
                            "line": fields["out_base"] + first // config.line * fields["out_groups"] + g,
                            "segment": first // each % config.segments,
                            "position": position,
                            "tile": tile,
                            "slot": slot,
                            "first_tile": int(tile == 0),
                            "first_group": int(g == 0),
                            "last_group": int(g == fields["out_groups"] - 1),
                            "words": [
                                w >> g * config.steps & mask
                                for w in results[slot * each : slot * each + each]
                            ],
                        }
                    )
    return items, entries
