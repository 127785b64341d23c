"""What all contracts share: free inputs, inputs that stay, and what a proof is."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Assume, Module, ResetSignal, Shape, Signal, Value
from amaranth.hdl import Elaboratable as Design

__all__ = ["Contract", "Proof"]


class Contract(Design):
    """A unit under arbitrary inputs. Subclasses assume what the unit may rely on, and assert what it promises.

    Every :meth:`free` signal is an input of the design, which the solver drives; a :meth:`spy` is driven by the unit.
    """

    def __init__(self) -> None:
        self.inputs: list[Signal] = []
        self.spies: dict[str, str] = {}
        self._stable: list[Signal] = []

    def free(self, shape: Shape | int | range, name: str) -> Signal:
        """An input with any value in each cycle."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def constant(self, shape: Shape | int | range, name: str) -> Signal:
        """An input with any value, the same in all cycles."""
        signal = self.free(shape, name)
        self._stable.append(signal)
        return signal

    def spy(self, shape: Shape | int | range, path: str) -> Signal:
        """State inside of the unit, ``path`` as in its waveform: what an invariant speaks about."""
        signal = self.free(shape, f"spy_{len(self.spies)}")
        self.spies[signal.name] = path
        return signal

    def begin(self) -> Module:
        """A module out of reset whose constants stay."""
        m = Module()
        m.d.comb += Assume(~ResetSignal())
        started = Signal()
        m.d.sync += started.eq(1)
        for signal in self._stable:
            before = Signal.like(signal)
            m.d.sync += before.eq(signal)
            m.d.comb += Assume(~started | (Value.cast(before) == Value.cast(signal)))
        return m


@dataclass(frozen=True)
class Proof:
    """A contract, and how it is decided.

    Parameters
    ----------
    name : str
        Of unit and size.
    says : str
        What holds.
    contract : callable
        Makes the contract.
    depth : int
        Cycles from reset, in all of which it holds under any input.
    forever : bool
        It holds in all cycles, by induction: after any ``depth`` cycles in which it holds, it holds in the next one.
    """

    name: str
    says: str
    contract: Callable[[], Contract]
    depth: int
    forever: bool = False

    @property
    def slug(self) -> str:
        """The name as one word."""
        return self.name.replace(",", "").replace(" ", "_")
