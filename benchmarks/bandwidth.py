"""What an external memory must deliver so that no network ever waits for streamed weights: docs/bandwidth.md.

``python -m benchmarks.bandwidth`` prints the table: every named network on its core, with a port and the smallest ring.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.cycles import Workload, digits_workload, untrained_workload
from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.interpreter import run_stream
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from sparta_sim.bandwidth import Bandwidth, weight_bandwidth
from sparta_sim.cycles.model import predict
from sparta_sim.cycles.stream import IDEAL_MEMORY

__all__ = ["rows", "streamed_program"]

PORTS = {"digits": 32, "nmnist": 64, "gesture": 64, "cifar10": 64, "paper": 128}
"""Bits of each core's port."""

MHZ = 100


def streamed_program(workload: Workload, stream_bits: int) -> Program:
    """The network on its core, but with a port and the smallest ring that it fits."""
    core: CoreConfig = workload.program.config
    for weight_rows in (1 << n for n in range(6, 20)):
        try:
            return compile_model(
                workload.graph, replace(core, stream_bits=stream_bits, weight_rows=weight_rows)
            )
        except CapacityError:
            continue
    raise CapacityError(f"{workload.program.name}: two tiles of its weights fit no ring")


def rows() -> Iterator[tuple[Program, int, int, Bandwidth, int]]:
    """Program, K, cycles, bandwidth and stalls of one inference of each network."""
    for name, bits in PORTS.items():
        workload = digits_workload(1) if name == "digits" else untrained_workload(name, 1)
        program = streamed_program(workload, bits)
        values = run_stream(workload.graph, workload.inputs[:1], workload.graph.default_k)
        k = int(values.pop("k")[0])
        sample = {program.input_name: workload.inputs[0]} | {name: value[0] for name, value in values.items()}
        alone = predict(program, sample, k, workload.graph.default_k)
        behind = predict(program, sample, k, workload.graph.default_k, IDEAL_MEMORY.latency)
        need = weight_bandwidth(program, alone, IDEAL_MEMORY.latency)
        yield program, k, alone.cycles, need, sum(behind.layer_stalls)


def main() -> None:
    """Print the table."""
    print(
        "| network | K | cycles | image | ring | tiles | mean | one tile ahead (layer) | needed | port | stalls |"
    )
    print("| --- |" + " ---: |" * 10)
    for program, k, cycles, need, stalls in rows():
        core = program.config
        ring = core.weight_rows * core.lanes
        print(
            f"| {program.name} | {k} | {cycles:,} | {need.image_bytes / 1024:,.0f} KiB | {ring / 1024:,.0f} KiB |"
            f" {need.tiles} | {_rate(need.mean)} | {_rate(need.one_ahead)} (`{need.one_ahead_node}`) |"
            f" **{_rate(need.needed)}** | {core.stream_bits // 8} | {stalls:,} |"
        )


def _rate(bytes_per_cycle: float) -> str:
    return f"{bytes_per_cycle:.2f} = {bytes_per_cycle * MHZ:,.0f} MB/s"


if __name__ == "__main__":
    main()
