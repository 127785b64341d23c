import inspect
import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_rtl.fire import STEP_CYCLES
from sparta_rtl.hilif import RESULT_STAGE, SPIKE_STAGE, FireLane
from tests.rtl import layer_reference

CONFIG = CoreConfig(name="lane", lanes=2, line=2)
LOW, HIGH = -(1 << CONFIG.acc_bits - 1), (1 << CONFIG.acc_bits - 1) - 1


class Neuron:
    """Parameters and sums of one neuron, drawn so that its membrane moves near its threshold."""

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
        self.sums = [rng.choice([rng.randint(-size, size), size, -size]) for _ in range(rng.randint(1, 8))]
        self.bias = rng.choice([0, rng.randint(-size, size), -(1 << 23), (1 << 23) - 1])
        self.threshold = rng.choice([1, rng.randint(1, 30), rng.randint(1, 400), (1 << 15) - 1])
        self.leak = rng.randint(1, 255)
        start, x = self.fields["v_reset"], (self.sums[0] + self.bias) >> self.fields["shift"]
        reached = start + ((x - start) * self.leak >> 8)
        if 1 <= reached < 1 << 15 and rng.random() < 0.3:
            self.threshold = reached

    def expected(self, reference: dict) -> list[int]:
        """Spikes of all steps, or one integer."""
        if self.fields["integer"]:
            return [reference["integer"](self.fields, self.sums, self.bias)]
        word = reference["hilif"](self.fields, self.sums, self.bias, self.threshold, self.leak)
        return [word >> t & 1 for t in range(len(self.sums))]


def simulate(neurons: list[Neuron]) -> list[list[int]]:
    """One step every two cycles, neurons back to back (each drained before its mode changes)."""
    lane, results = FireLane(CONFIG), []

    async def process(ctx) -> None:
        for neuron in neurons:
            fields, observed, count = neuron.fields, [], len(neuron.sums)
            header = {"bias": neuron.bias, "threshold": neuron.threshold, "leak": neuron.leak}
            logits = fields["destination"] == Destination.LOGITS
            ctx.set(lane.header, header)
            ctx.set(
                lane.mode,
                {n: fields[n] for n in ("integer", "soft", "shift", "v_reset")} | {"logits": logits},
            )
            for cycle in range(STEP_CYCLES * count + SPIKE_STAGE):
                stages = (0, 1, RESULT_STAGE, RESULT_STAGE + 1, SPIKE_STAGE - 1, SPIKE_STAGE)
                at = {n: divmod(cycle - n, STEP_CYCLES) for n in stages}
                now = {n: part == 0 and 0 <= step < count for n, (step, part) in at.items()}
                if now[0]:
                    ctx.set(lane.sum, neuron.sums[at[0][0]])
                if fields["integer"]:
                    if cycle == STEP_CYCLES * (count - 1) + RESULT_STAGE:
                        observed.append(ctx.get(lane.result))
                elif now[SPIKE_STAGE]:
                    observed.append(ctx.get(lane.spike))
                strobes = {
                    "read": now[0],
                    "total": now[1],
                    "keep": fields["integer"] and at[1][0] > 0,
                    "negate": fields["integer"] and fields["signed"] and at[1][0] == 0,
                    "charge": now[RESULT_STAGE],
                    "leak": now[RESULT_STAGE + 1],
                    "fresh": now[RESULT_STAGE] and at[RESULT_STAGE][0] == 0,
                    "update": now[SPIKE_STAGE - 1],
                }
                ctx.set(lane.strobes, strobes)
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
        "(total + bias) >> fields",
        "(total + bias + (1 << fields['shift'] >> 1)) >> fields",
    ),
    "rounding to zero": ("(total + bias) >> fields['shift']", "int((total + bias) / 2 ** fields['shift'])"),
    "no saturation": ("_clip((total + bias) >> fields['shift'], 16)", "((total + bias) >> fields['shift'])"),
    "leak rounded up": ("(x - v) * leak) >> 8", "(x - v) * leak + 255) >> 8"),
    "threshold exceeded, not reached": ("v >= threshold", "v > threshold"),
    "hard instead of soft reset": ("v - threshold if fields", "fields['v_reset'] if fields"),
    "membrane starts at zero": ("v, spikes = fields['v_reset'], 0", "v, spikes = 0, 0"),
    "reset to zero": ("else fields['v_reset']", "else 0"),
    "plane 0 not negated": ("-(2**top)", "2**top"),
    "least significant plane first": ("2 ** (top - t)", "2 ** t"),
    "saturation to nine bits": ("else _clip(total, 8)", "else _clip(total, 9)"),
    "logits saturated": ("return total if", "return _clip(total, 8) if"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_other_arithmetic_is_noticed(name: str, simulated: tuple[list[Neuron], list[list[int]]]) -> None:
    source, (right, wrong) = inspect.getsource(layer_reference).replace('"', "'"), ALTERED[name]
    assert right in source
    altered = {"__name__": layer_reference.__name__}
    exec(compile(source.replace(right, wrong), "altered reference", "exec"), altered)
    neurons, results = simulated
    assert results != [neuron.expected(altered) for neuron in neurons]
