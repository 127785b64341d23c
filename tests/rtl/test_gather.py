import numpy as np
import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.gather import GatherUnit
from sparta_sim.cycles.tokens import gather_cycles

CONFIG = CoreConfig(name="test", lanes=4, line=8, steps=4, max_tokens=16, max_topk=12, spike_lines=512)


def run(cases: list[tuple[list[int], int]]) -> None:
    dut = GatherUnit(CONFIG)
    memory = np.random.default_rng(0).integers(0, 1 << 32, 512).tolist()
    tokens: list[int] = []

    def reader(port, content):
        async def process(ctx):
            async for _, _, en, addr in ctx.tick().sample(port.en, port.addr):
                if en:
                    ctx.set(port.data, content[addr])

        return process

    async def bench(ctx):
        for chosen, lines in cases:
            tokens[:] = chosen
            fields = {"lines": lines, "in_base": 7, "out_base": 300}
            ctx.set(dut.layer, {"op": 0, "id": 0, **fields})
            ctx.set(dut.topk, len(chosen))
            ctx.set(dut.start, 1)
            written, cycles, done = {}, 0, False
            while not done:
                _, _, done, en, addr, data = await ctx.tick().sample(
                    dut.done, dut.write.en, dut.write.addr, dut.write.data
                )
                ctx.set(dut.start, 0)
                cycles += not done
                if en:
                    assert en == 3
                    assert not done
                    written[addr] = data
                assert cycles < 1000
            source = [7 + token * lines + n for token in chosen for n in range(lines)]
            assert written == {300 + at: memory[line] for at, line in enumerate(source)}
            assert cycles == gather_cycles(fields, len(chosen))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(reader(dut.spikes, memory), background=True)
    sim.add_testbench(reader(dut.tokens, tokens), background=True)
    sim.add_testbench(bench)
    sim.run()


def test_copies_tokens_in_rank_order() -> None:
    rng = np.random.default_rng(1)
    run(
        [(rng.integers(0, 16, k).tolist(), lines) for k, lines in [(1, 1), (12, 1), (5, 4), (12, 16), (1, 3)]]
    )


def test_a_wrong_formula_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "gather_cycles", lambda fields, topk: topk * fields["lines"] + 8)
    with pytest.raises(AssertionError):
        run([([3, 1], 2)])
