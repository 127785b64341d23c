"""An AXI4 memory in Amaranth's simulator: random latency and pauses, and an eye on the protocol."""

import random
from collections import deque
from dataclasses import dataclass, field

from sparta_rtl.weight_stream import AxiRead

__all__ = ["AxiMemory", "Burst"]

OKAY, SLVERR = 0, 2


@dataclass
class Burst:
    """A burst that was asked for: its first byte, beats, the cycles of its address and of its first beat."""

    address: int
    beats: int
    accepted: int
    answered: int = -1


@dataclass
class AxiMemory:
    """Answers bursts in order.

    Parameters
    ----------
    axi : AxiRead
        The master's port.
    content : bytes
        From address ``base`` on.
    latency : tuple of int
        Least and most cycles from an accepted address to its first beat.
    pauses : float
        Probability that a channel pauses in a cycle.
    """

    axi: AxiRead
    content: bytes
    base: int = 0
    latency: tuple[int, int] = (1, 1)
    pauses: float = 0.0
    seed: int = 0
    bad: set[int] = field(default_factory=set)
    """Addresses of beats that are answered with an error."""
    bursts: list[Burst] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    """What the master must not have done."""
    cycle: int = 0

    async def run(self, ctx) -> None:
        """A background test bench."""
        axi, rng = self.axi, random.Random(self.seed)
        size = len(axi.rdata) // 8
        waiting: deque[tuple[Burst, int]] = deque()
        left, offered = 0, None
        while True:
            ctx.set(axi.arready, rng.random() >= self.pauses)
            due = bool(waiting) and self.cycle >= waiting[0][1] and rng.random() >= self.pauses
            if due:
                burst = waiting[0][0]
                left = left or burst.beats
                address = burst.address + (burst.beats - left) * size
                at = address - self.base
                self._expect(
                    0 <= at <= len(self.content) - size, f"address 0x{address:x} is outside of the image"
                )
                ctx.set(axi.rdata, int.from_bytes(self.content[at : at + size], "little"))
                ctx.set(axi.rresp, SLVERR if address in self.bad else OKAY)
                ctx.set(axi.rlast, left == 1)
                if left == burst.beats:
                    burst.answered = self.cycle
            ctx.set(axi.rvalid, due)
            names = ("arvalid", "arready", "araddr", "arlen", "arsize", "arburst", "rready")
            *_, valid, ready, address, length, width, kind, taken = await ctx.tick().sample(
                *(getattr(axi, name) for name in names)
            )
            if valid:
                self._expect(
                    offered in (None, (address, length)), "an address changed before it was accepted"
                )
                self._expect(
                    (kind, 1 << width, address % size) == (1, size, 0), "a burst of other than whole beats"
                )
                last = address + (length + 1) * size - 1
                self._expect(address // 4096 == last // 4096, "a burst crosses 4 KiB")
                offered = None if ready else (address, length)
                if ready:
                    burst = Burst(address, length + 1, self.cycle)
                    self.bursts.append(burst)
                    waiting.append((burst, self.cycle + rng.randint(*self.latency)))
            else:
                self._expect(offered is None, "an address was withdrawn")
            if due:
                self._expect(taken, "a beat was refused")
                left -= 1
                if not left:
                    waiting.popleft()
            self.cycle += 1

    def _expect(self, holds: bool, breach: str) -> None:
        if not holds:
            self.breaches.append(f"cycle {self.cycle}: {breach}")
