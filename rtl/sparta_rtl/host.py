"""The host port: AXI4-Lite registers, and the loader of memories and input spikes."""

from collections.abc import Mapping
from enum import IntEnum

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_WORDS, MlpSet
from sparta_rtl.memory import ReadPort, WritePort
from sparta_rtl.rank import FACTOR_BITS, FACTOR_ROWS
from sparta_rtl.score import SCORE_ROW_BITS
from sparta_rtl.token_mlp import MLP_ROW_BITS
from sparta_rtl.weight_stream import PAGE_BITS, StreamControl

__all__ = ["ADDRESS_BITS", "AxiLite", "HostPort", "LoadTarget", "Register"]

ADDRESS_BITS = 12
CORE_ID = 0x41525053


class Register(IntEnum):
    """Byte addresses of the 32-bit registers; their meaning is in docs/host.md."""

    ID = 0x00
    CONFIG = 0x04
    CONTROL = 0x08
    STATUS = 0x0C
    K = 0x10
    LOAD_TARGET = 0x14
    LOAD_ROW = 0x18
    LOAD_DATA = 0x1C
    CYCLES = 0x20
    COUNTER_LAYER = 0x24
    COUNTER_CYCLES = 0x28
    COUNTER_ENTRIES = 0x2C
    STATE = 0x30
    STREAM_BASE = 0x34
    STREAM_ROWS = 0x38
    STREAM_STALLS = 0x3C
    COUNTER_STALLS = 0x40


_WRITTEN = (
    Register.CONTROL,
    Register.K,
    Register.LOAD_TARGET,
    Register.LOAD_ROW,
    Register.LOAD_DATA,
    Register.COUNTER_LAYER,
    Register.STATE,
)
_WRITTEN_OF_STREAM = (Register.STREAM_BASE, Register.STREAM_ROWS)


class LoadTarget(IntEnum):
    """Memories that LOAD_DATA writes."""

    PROGRAM = 0
    WEIGHTS = 1
    SCORES = 2
    FACTORS = 3
    MLP = 4


class AxiLite(wiring.Signature):
    """AXI4-Lite, 32-bit data, as its master sees it (Arm IHI 0022)."""

    def __init__(self) -> None:
        super().__init__(
            {
                "awaddr": Out(ADDRESS_BITS),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(ADDRESS_BITS),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class HostPort(wiring.Component):
    """Registers, memory loading and input lines.

    Writes act on whole registers (byte strobes are ignored). A register write takes effect in the cycle after the
    one in which address and data are both valid, a command one cycle later; a read answers two cycles after its
    address. Input words wait while a command is under way.

    Members
    -------
    axil : In(AxiLite())
    spikes : In(stream.Signature(32))
        Input lines, lowest word first.
    program, weights, scores, factors, mlp : Out(WritePort)
        Memories to load; ``weights`` only if they are not streamed, the last three in cores with attention.
    line : Out(WritePort(spike_lines, L * S, L // P))
        Input region, from line 0 on.
    hold : In(1)
        Units are being stopped: register writes and input words wait.
    start, abort, reset_state : Out(1)
        One-cycle commands.
    busy, topk_clamped, finished : In(1)
        The core is busy from the cycle after ``start`` on.
    topk : Out(16)
    state, load_state, state_value : In(signed(26)), Out(1), Out(signed(26))
        Feedback state, and a write of it.
    cycles : In(32)
    counter_cycles, counter_entries : Out(ReadPort(layers, 32))
    stream, lost, stream_stalls, counter_stalls : Out(StreamControl()), In(1), In(32), Out(ReadPort(layers, 32))
        Only if weights are streamed. An abort restarts the stream; ``lost`` ends an inference, and rewinds like one.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        line_bits = config.line * config.steps
        on_chip = {"weights": Out(WritePort(config.weight_rows, config.lanes * config.weight_bits))}
        streamed = {
            "stream": Out(StreamControl()),
            "lost": In(1),
            "stream_stalls": In(32),
            "counter_stalls": Out(ReadPort(config.layers, 32)),
        }
        tables = {
            "scores": Out(WritePort(config.scales * (config.silent_cue + 1), SCORE_ROW_BITS)),
            "factors": Out(WritePort(FACTOR_ROWS, FACTOR_BITS)),
            "mlp": Out(WritePort(config.hidden_units * len(MlpSet), MLP_ROW_BITS)),
        }
        super().__init__(
            {
                "axil": In(AxiLite()),
                "spikes": In(stream.Signature(32)),
                "program": Out(WritePort(config.layers * DESCRIPTOR_WORDS, 32)),
                **(streamed if config.stream_bits else on_chip),
                **(tables if config.attention else {}),
                "line": Out(WritePort(config.spike_lines, line_bits, config.segments)),
                "start": Out(1),
                "abort": Out(1),
                "hold": In(1),
                "reset_state": Out(1),
                "busy": In(1),
                "finished": In(1),
                "topk": Out(16),
                "topk_clamped": In(1),
                "state": In(signed(config.state_bits)),
                "load_state": Out(1),
                "state_value": Out(signed(config.state_bits)),
                "cycles": In(32),
                "counter_cycles": Out(ReadPort(config.layers, 32)),
                "counter_entries": Out(ReadPort(config.layers, 32)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at, write_data, write_now = self._axi_writes(m)
        self._registers(m, at, write_data, write_now)
        self._loader(m, at, write_data, write_now)
        self._axi_reads(m)
        self._input_lines(m)
        return m

    def _axi_writes(self, m: Module) -> tuple[Mapping[Register, Signal], Signal, Signal]:
        axil = self.axil
        written = _WRITTEN + (_WRITTEN_OF_STREAM if self._config.stream_bits else ())
        at = {register: Signal(name=f"at_{register.name.lower()}") for register in written}
        value = Signal(32)
        now = Signal()
        take = Signal()
        m.d.comb += [
            take.eq(axil.awvalid & axil.wvalid & ~(axil.bvalid | self.abort | self.hold)),
            axil.awready.eq(take),
            axil.wready.eq(take),
        ]
        m.d.sync += now.eq(take)
        with m.If(take):
            m.d.sync += [chosen.eq(axil.awaddr == register) for register, chosen in at.items()]
            m.d.sync += [value.eq(axil.wdata), axil.bvalid.eq(1)]
        with m.Elif(axil.bready):
            m.d.sync += axil.bvalid.eq(0)
        return at, value, now

    def _registers(self, m: Module, at: Mapping[Register, Signal], value: Signal, now: Signal) -> None:
        commands = now & at[Register.CONTROL]
        m.d.sync += [
            self.start.eq(commands & value[0] & ~self.busy & ~self.start),
            self.abort.eq(commands & value[1]),
            self.reset_state.eq(commands & value[2]),
            self.load_state.eq(now & at[Register.STATE]),
            self.state_value.eq(value),
        ]
        with m.If(now & at[Register.K]):
            m.d.sync += self.topk.eq(value)
        with m.If(now & at[Register.COUNTER_LAYER]):
            m.d.sync += [self.counter_cycles.addr.eq(value), self.counter_entries.addr.eq(value)]
        m.d.comb += [self.counter_cycles.en.eq(1), self.counter_entries.en.eq(1)]
        if self._config.stream_bits:
            self._stream(m, at, value, now)

    def _stream(self, m: Module, at: Mapping[Register, Signal], value: Signal, now: Signal) -> None:
        """The image of streamed weights; a program's own is not exchanged while it runs."""
        aborted = Signal()
        with m.If(now & at[Register.STREAM_BASE]):
            m.d.sync += self.stream.base.eq(value >> PAGE_BITS)
        m.d.sync += [aborted.eq(self.abort), self.stream.restart.eq(aborted)]
        with m.If(now & at[Register.STREAM_ROWS] & ~self.busy):
            m.d.sync += [self.stream.rows.eq(value), self.stream.restart.eq(1)]
        with m.If(now & at[Register.COUNTER_LAYER]):
            m.d.sync += self.counter_stalls.addr.eq(value)
        m.d.comb += self.counter_stalls.en.eq(1)

    def _loader(self, m: Module, at: Mapping[Register, Signal], value: Signal, now: Signal) -> None:
        ports = {} if self._config.stream_bits else {LoadTarget.WEIGHTS: self.weights}
        if self._config.attention:
            ports |= {
                LoadTarget.SCORES: self.scores,
                LoadTarget.FACTORS: self.factors,
                LoadTarget.MLP: self.mlp,
            }
        words = {kind: -(-len(port.data) // 32) for kind, port in ports.items()}
        words[LoadTarget.PROGRAM] = DESCRIPTOR_WORDS
        row = Signal(20)
        word = Signal(range(256))
        last_word = Signal(range(256), init=DESCRIPTOR_WORDS - 1)
        chosen = {
            kind: Signal(name=f"load_{kind.name.lower()}", init=kind is LoadTarget.PROGRAM) for kind in words
        }
        collected = Signal(32 * max(words.values()), reset_less=True)
        loads = Signal()
        ends = Signal()
        complete = Signal()
        m.d.comb += [
            loads.eq(now & at[Register.LOAD_DATA]),
            complete.eq(loads & ends),
        ]
        m.d.sync += ends.eq(word == last_word)  # one write at most in two cycles
        with m.If(now & at[Register.LOAD_TARGET]):
            m.d.sync += [selected.eq(value[:3] == kind) for kind, selected in chosen.items()]
            with m.Switch(value[:3]):
                for kind, count in words.items():
                    with m.Case(kind):
                        m.d.sync += last_word.eq(count - 1)
        with m.If(now & at[Register.LOAD_ROW]):
            m.d.sync += row.eq(value)
        with m.If(now & (at[Register.LOAD_TARGET] | at[Register.LOAD_ROW])):
            m.d.sync += word.eq(0)
        with m.If(loads):
            m.d.sync += [word.eq(word + 1), collected.eq(Cat(collected[32:], value))]
        with m.If(complete):
            m.d.sync += [word.eq(0), row.eq(row + 1)]
        m.d.sync += [
            self.program.en.eq(loads & chosen[LoadTarget.PROGRAM]),
            self.program.addr.eq(Cat(word[:4], row)),
            self.program.data.eq(value),
        ]
        for kind, port in ports.items():
            m.d.sync += [port.en.eq(complete & chosen[kind]), port.addr.eq(row)]
            m.d.comb += port.data.eq(collected[len(collected) - 32 * words[kind] :])

    def _axi_reads(self, m: Module) -> None:
        axil = self.axil
        pending = Signal()
        m.d.comb += axil.arready.eq(~pending & ~axil.rvalid)
        values = {
            Register.ID: CORE_ID,
            Register.CONFIG: self._config.digest,
            Register.STATUS: Cat(self.busy, self.topk_clamped),
            Register.K: self.topk,
            Register.CYCLES: self.cycles,
            Register.COUNTER_CYCLES: self.counter_cycles.data,
            Register.COUNTER_ENTRIES: self.counter_entries.data,
            Register.STATE: self.state,
        }
        if self._config.stream_bits:
            values[Register.STATUS] = Cat(self.busy, self.topk_clamped, self.stream.failed)
            values |= {
                Register.STREAM_BASE: self.stream.base << PAGE_BITS,
                Register.STREAM_ROWS: self.stream.rows,
                Register.STREAM_STALLS: self.stream_stalls,
                Register.COUNTER_STALLS: self.counter_stalls.data,
            }
        wanted = {register: Signal(name=f"wanted_{register.name.lower()}") for register in values}
        with m.If(axil.arvalid & axil.arready):
            m.d.sync += [chosen.eq(axil.araddr == register) for register, chosen in wanted.items()]
            m.d.sync += pending.eq(1)
        with m.If(pending):
            m.d.sync += [pending.eq(0), axil.rvalid.eq(1), axil.rdata.eq(0)]
            for register, content in values.items():
                with m.If(wanted[register]):
                    m.d.sync += axil.rdata.eq(content)
        with m.Elif(axil.rready):
            m.d.sync += axil.rvalid.eq(0)

    def _input_lines(self, m: Module) -> None:
        words = -(-len(self.line.data) // 32)
        word = Signal(range(max(words, 2)))
        collected = Signal(32 * words, reset_less=True)
        row = Signal.like(self.line.addr)
        m.d.comb += [
            self.spikes.ready.eq(~(self.busy | self.start | self.abort | self.hold)),
            self.line.data.eq(collected),
        ]
        m.d.sync += [self.line.en.eq(0), self.line.addr.eq(row)]
        with m.If(self.spikes.valid & self.spikes.ready):
            m.d.sync += [word.eq(word + 1), collected.eq(Cat(collected[32:], self.spikes.payload))]
            with m.If(word == words - 1):
                m.d.sync += [self.line.en.eq(~0), word.eq(0), row.eq(row + 1)]
        rewind = self.finished | self.abort
        with m.If(rewind | self.lost if self._config.stream_bits else rewind):
            m.d.sync += [row.eq(0), word.eq(0)]
