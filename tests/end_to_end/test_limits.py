"""What the benchmark says about cycles, asserted: they are exact, so that a slower core fails here."""

import pytest

from benchmarks.cycles import Workload, digits_workload, untrained_workload
from benchmarks.peers import GOALS, mlp_workload, peer_ratios, random_input
from benchmarks.skipping import skipping_ratios
from sparta_hw.config import NAMED_CONFIGS
from sparta_sim.cycles.attention import attend_cycles
from sparta_sim.limits import Ratio, array_ratio, unit_ratios

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits() -> Workload:
    return digits_workload(10)


def units(workload: Workload, k: int) -> dict[str, Ratio]:
    return {one.what.split(": ")[1]: one for one in unit_ratios(workload.program, workload.predictions(k), k)}


def test_goal_of_a_ratio() -> None:
    assert Ratio("x", 11, 10, goal=1.1).met
    assert not Ratio("x", 12, 10, goal=1.1).met
    assert Ratio("x", 12, 10).met


@pytest.mark.parametrize("k", [64, 48, 32, 22, 16])
def test_digits(digits: Workload, k: int) -> None:
    assert array_ratio(digits.program, digits.predictions(k)).ratio <= 1.10
    found = units(digits, k)
    assert found["whole inference"].ratio <= 1.06
    assert found["attention"].ratio <= (1.10 if k > 16 else 1.16)
    assert found["ranking by msp"].measured == 64 + k + 15


def test_nmnist() -> None:
    workload = untrained_workload("nmnist", 1)
    assert array_ratio(workload.program, workload.predictions(22)).ratio <= 1.05
    found = units(workload, 22)
    assert found["whole inference"].ratio <= 1.05
    assert found["attention"].ratio <= 1.05


def test_gesture() -> None:
    """Most positions are silent, and copy their spikes: their steps are in neither side of the ratio."""
    workload = untrained_workload("gesture", 1)
    assert units(workload, 89)["whole inference"].ratio <= 1.05
    found = units(workload, 16)["whole inference"]
    assert found.ratio <= 1.15
    assert found.measured <= 110_000


def test_attention_among_256_tokens_follows_k_squared() -> None:
    """Two heads of 32 features on 16 lanes, as in the gesture network: 2 K^2 D multiplications on 32 multipliers."""
    fields = {"pitch": 4, "chunks": 2, "to_tokens": 1}
    cycles = {k: attend_cycles(NAMED_CONFIGS["gesture"], fields, k) for k in range(16, 257)}
    assert max(cycles[k] / (4 * k * k) for k in range(16, 193)) <= 1.10
    assert cycles[89] / cycles[256] <= 0.135


def test_skipping_gains_what_spikes_leave_out(digits: Workload) -> None:
    ratios = list(skipping_ratios(digits.program))
    assert len(ratios) == 2 * 6
    assert all(one.met for one in ratios)
    last = [one for one in ratios if "stem.1.conv" in one.what]
    assert all(one.what.endswith("entries") for one in last)
    assert last[0].measured < last[-1].measured / 12


def test_the_peers_network_meets_its_goals() -> None:
    workload = mlp_workload()
    for density, most in GOALS.items():
        assert max(one.cycles for one in random_input(workload, density).predictions(0)) <= most
    ratios = {one.what: one.ratio for one in peer_ratios(workload)}
    assert ratios["mlp, 1% random input: whole inference against QUANTISENC"] < 1 / 15
    assert ratios["mlp, 10% random input: whole inference against QUANTISENC"] < 1 / 7
