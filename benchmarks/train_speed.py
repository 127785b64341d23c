"""A training step and an inference against spikingjelly and snnTorch: ``make bench-train``.

All sides run in turn in one process, round after round; the median of the ratios counts, above 1 ours is faster.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.spiking_stacks import (
    CLASSES,
    Stack,
    our_stack,
    snntorch_stack,
    spikingjelly_stack,
    stack_config,
)
from sparta_hw.files import write_text

DENSITY = 0.05


def training_step(stack: Stack, inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Forward, loss, backward and a step of AdamW."""
    optimizer = torch.optim.AdamW(stack.module.parameters(), lr=1e-4)

    def step() -> None:
        stack.module.train()
        loss = F.cross_entropy(stack.forward(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def inference(stack: Stack, inputs: torch.Tensor) -> Callable[[], None]:
    """Forward of a network in evaluation."""

    def step() -> None:
        stack.module.eval()
        with torch.no_grad():
            stack.forward(inputs)

    return step


def seconds(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side, round by round; the first round warms up and is left out."""
    measured: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if number:
                measured[name].append(time.perf_counter() - started)
    return measured


def check_same_spikes(ours: Stack, theirs: Stack, inputs: torch.Tensor) -> float:
    """Part of the spikes of the last layer that both compute alike; sums are rounded in another order."""
    ours.module.train()
    theirs.module.train()
    with torch.no_grad():
        return float((ours.spikes(inputs) == theirs.spikes(inputs)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench_train.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    results = {}
    for soft in (True, False):
        config = stack_config(soft=soft)
        inputs = (torch.rand(config.timesteps, options.batch, *config.input) < DENSITY).float()
        labels = torch.randint(CLASSES, (options.batch,))
        ours = our_stack(config)
        peers = [spikingjelly_stack(config, ours), snntorch_stack(config, ours)]
        same = check_same_spikes(ours, peers[0], inputs)
        stacks = [ours, *peers, our_stack(config, exact=True)]
        reset = "soft reset" if soft else "hard reset"
        print(
            f"{reset}: stem of nmnist, T = {config.timesteps}, batch {options.batch}, {options.threads} thread(s);"
        )
        print(f"  {same:.4%} of the last layer's spikes equal spikingjelly's")
        sides = {
            "training step": {stack.name: training_step(stack, inputs, labels) for stack in stacks},
            "inference": {stack.name: inference(stack, inputs) for stack in stacks},
        }
        for what, steps in sides.items():
            measured = seconds(steps, options.rounds)
            for name, times in measured.items():
                ratio = statistics.median(a / b for a, b in zip(times, measured[ours.name], strict=True))
                print(f"  {what:14} {name:28} {1e3 * statistics.median(times):8.1f} ms   ratio {ratio:5.2f}")
                results[f"{reset}, {what}, {name}"] = {"seconds": statistics.median(times), "ratio": ratio}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.output, json.dumps({"threads": options.threads, "results": results}, indent=2) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
