import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_rtl.hilif import RESULT_STAGE, SPIKE_STAGE, FireLane
from tests.altered import altered
from tests.rtl import layer_reference

CONFIG = CoreConfig(name="lane", lanes=2, line=2)
LOW, HIGH = -(1 << CONFIG.acc_bits - 1), (1 << CONFIG.acc_bits - 1) - 1


class Neuron:
    """Parameters of one channel and sums of two neurons, drawn so that their membranes move near the threshold."""

    def __init__(self, rng: random.Random) -> None:
        self.fields = {
            "integer": rng.randint(0, 1),
            "signed": rng.randint(0, 1),
            "soft": rng.randint(0, 1),
            "shift": rng.choice([0, 1, 2, 3, 7, 12, 31]),
            "v_reset": rng.choice([0, 0, -5, 40, -(1 << 15), (1 << 15) - 1]),
            "destination": rng.choice([Destination.LOGITS, Destination.QUERY]),
        }
        size = rng.choice([20, 20, 300, HIGH])
        count = rng.randint(1, 8)
        self.sums = [
            [rng.choice([rng.randint(-size, size), size, -size]) for _ in range(count)] for _ in range(2)
        ]
        self.bias = rng.choice([0, rng.randint(-size, size), -(1 << 23), (1 << 23) - 1])
        self.threshold = rng.choice([1, rng.randint(1, 30), rng.randint(1, 400), (1 << 15) - 1])
        self.leak = rng.randint(1, 255)
        reached = self._reached(rng.randrange(2), rng.randint(1, count))
        if 1 <= reached < 1 << 15 and rng.random() < 0.5:
            self.threshold = reached

    def _reached(self, which: int, steps: int) -> int:
        """Membrane after some steps without a spike."""
        v = self.fields["v_reset"]
        for total in self.sums[which][:steps]:
            x = max(-(1 << 15), min((total + self.bias) >> self.fields["shift"], (1 << 15) - 1))
            v += (x - v) * self.leak >> 8
        return v

    @property
    def order(self) -> list[tuple[int, int]]:
        """Neuron and step, cycle by cycle: planes of one after the other, steps of both in turn."""
        count = len(self.sums[0])
        if self.fields["integer"]:
            return [(which, step) for which in range(2) for step in range(count)]
        return [(which, step) for step in range(count) for which in range(2)]

    def expected(self, reference: dict) -> list[int]:
        """Spikes of all steps as they come, or two integers."""
        if self.fields["integer"]:
            return [reference["integer"](self.fields, sums, self.bias) for sums in self.sums]
        words = [
            reference["hilif"](self.fields, sums, self.bias, self.threshold, self.leak) for sums in self.sums
        ]
        return [words[which] >> step & 1 for which, step in self.order]


def simulate(neurons: list[Neuron]) -> list[list[int]]:
    """A sum every cycle, its current as soon as it is there; neurons pair by pair (their mode changes in between)."""
    lane, results = FireLane(CONFIG), []

    async def process(ctx) -> None:
        for neuron in neurons:
            fields, observed, order = neuron.fields, [], neuron.order
            header = {"bias": neuron.bias, "threshold": neuron.threshold, "leak": neuron.leak}
            logits = fields["destination"] == Destination.LOGITS
            ctx.set(lane.header, header)
            ctx.set(
                lane.mode,
                {n: fields[n] for n in ("integer", "soft", "shift", "v_reset")} | {"logits": logits},
            )
            for cycle in range(len(order) + RESULT_STAGE + SPIKE_STAGE):
                now = dict(enumerate(order))
                read, total, result, begin, update, spike = (
                    now.get(cycle - n) for n in (0, 1, *(RESULT_STAGE + n for n in (0, 1, 3, SPIKE_STAGE)))
                )
                if read:
                    ctx.set(lane.sum, neuron.sums[read[0]][read[1]])
                if fields["integer"]:
                    if result and result[1] == len(neuron.sums[0]) - 1:
                        observed.append(ctx.get(lane.result))
                elif spike:
                    observed.append(ctx.get(lane.spike))
                strobes = {
                    "read": read,
                    "total": total,
                    "keep": fields["integer"] and total and total[1] > 0,
                    "negate": fields["integer"] and fields["signed"] and total and total[1] == 0,
                    "fresh": begin and begin[1] == 0,
                    "update": update,
                }
                ctx.set(lane.strobes, {name: bool(value) for name, value in strobes.items()})
                ctx.set(lane.current, ctx.get(lane.result[: CONFIG.membrane_bits].as_signed()))
                await ctx.tick()
            results.append(observed)

    sim = Simulator(lane)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    return results


@pytest.fixture(scope="module")
def simulated() -> tuple[list[Neuron], list[list[int]]]:
    rng = random.Random(11)
    neurons = [Neuron(rng) for _ in range(500)]
    return neurons, simulate(neurons)


def test_lane_agrees_with_reference(simulated: tuple[list[Neuron], list[list[int]]]) -> None:
    neurons, results = simulated
    assert results == [neuron.expected(vars(layer_reference)) for neuron in neurons]


ALTERED = {
    "rounding to nearest": (
        '_clip((total + bias) >> fields["shift"]',
        '_clip((total + bias + (1 << fields["shift"] >> 1)) >> fields["shift"]',
    ),
    "rounding to zero": (
        '_clip((total + bias) >> fields["shift"]',
        '_clip(int((total + bias) / 2 ** fields["shift"])',
    ),
    "no saturation": ('_clip((total + bias) >> fields["shift"], 16)', '((total + bias) >> fields["shift"])'),
    "leak rounded up": ("(x - v) * leak) >> 8", "(x - v) * leak + 255) >> 8"),
    "threshold exceeded, not reached": ("v >= threshold", "v > threshold"),
    "hard instead of soft reset": ("v - threshold if fields", 'fields["v_reset"] if fields'),
    "membrane starts at zero": ('v, spikes = fields["v_reset"], 0', "v, spikes = 0, 0"),
    "reset to zero": ('else fields["v_reset"]', "else 0"),
    "plane 0 not negated": ("-(2**top)", "2**top"),
    "least significant plane first": ("2 ** (top - t)", "2 ** t"),
    "saturation to nine bits": ("else _clip(total, 8)", "else _clip(total, 9)"),
    "logits saturated": ("return total if", "return _clip(total, 8) if"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_other_arithmetic_is_noticed(name: str, simulated: tuple[list[Neuron], list[list[int]]]) -> None:
    other = altered(layer_reference, *ALTERED[name])
    neurons, results = simulated
    assert results != [neuron.expected(other) for neuron in neurons]
