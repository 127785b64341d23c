"""The benchmark that other open spiking cores run: 784-128-10 neurons, 25 steps, over the input's density; exact.

``python -m benchmarks.peers --data MNIST`` adds real digits to the random input.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cycles import Workload, workload_of
from sparta_quant.checkpoint import MLP_CHECKPOINT, load_checkpoint
from sparta_quant.untrained import camera_digits
from sparta_sim.limits import Ratio

__all__ = ["DENSITIES", "GOALS", "PEERS", "mlp_workload", "peer_ratios", "random_input"]

PEERS: Mapping[str, int] = {"Spiker+": 23_641, "QUANTISENC": 19_775}
"""Cycles of an inference at any density, simulated from the projects' public sources."""

DENSITIES = (0.01, 0.05, 0.1, 0.2)
GOALS = {0.01: 700, 0.1: 3000}


def mlp_workload() -> Workload:
    """The committed network on its core; its inputs are embedded digits."""
    return _workload(MLP_CHECKPOINT)


def _workload(checkpoint: str | Path) -> Workload:
    network, _ = load_checkpoint(checkpoint)
    return workload_of(network, "mlp", camera_digits(network.config, 8))


def random_input(workload: Workload, density: float, samples: int = 8) -> Workload:
    """The same network on spikes that are independent of each other."""
    rng = np.random.default_rng(0)
    return workload.on((rng.random((samples, *workload.program.input.shape)) < density).astype(np.uint8))


def peer_ratios(workload: Workload) -> Iterator[Ratio]:
    """Cycles from the start command to the end of an inference, against goals and peers."""
    for density in DENSITIES:
        cycles = float(np.mean([one.cycles for one in random_input(workload, density).predictions(0)]))
        name = f"mlp, {density:.0%} random input"
        if density in GOALS:
            yield Ratio(f"{name}: whole inference against its goal", cycles, GOALS[density], goal=1.0)
        for peer, theirs in PEERS.items():
            yield Ratio(f"{name}: whole inference against {peer}", cycles, theirs)


def _thinned(spikes: NDArray[np.uint8], density: float) -> NDArray[np.uint8]:
    """As many of the spikes as make this density, chosen at random."""
    kept = np.random.default_rng(1).random(spikes.shape) < density / max(spikes.mean(), density)
    return spikes & kept


def _report(workload: Workload, what: str) -> None:
    predictions = workload.predictions(0)
    cycles = np.array([one.cycles for one in predictions])
    hidden = np.mean([one.layer_entries[1] for one in predictions])
    gains = ", ".join(f"{theirs / cycles.mean():.1f} x {peer}" for peer, theirs in PEERS.items())
    print(
        f"{what:24} density {workload.inputs.mean():6.2%}  hidden spikes {hidden:6.1f}  "
        f"cycles {cycles.mean():7.1f} ({cycles.min()} to {cycles.max()})  {gains}"
    )


def main() -> None:
    """Print a line for each kind of input."""
    from sparta_quant.data.fit import open_fitting

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default=MLP_CHECKPOINT, help="network.pt of sparta-hw train mlp")
    parser.add_argument("--data", help="folder with MNIST")
    parser.add_argument("--samples", type=int, default=100, help="of the test set (default: 100)")
    options = parser.parse_args()
    workload = _workload(options.network)
    for density in DENSITIES:
        _report(random_input(workload, density), "random")
    if options.data:
        samples = open_fitting(options.data, "test", workload.network.config).spread(options.samples)
        _report(workload.on(samples.spikes), "MNIST")
        for density in GOALS:
            _report(workload.on(_thinned(samples.spikes, density)), f"MNIST, thinned to {density:.0%}")


if __name__ == "__main__":
    main()
