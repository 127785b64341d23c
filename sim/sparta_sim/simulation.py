"""The Verilated core as a Python object: load memories, run many inferences in one call."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError, SpartaError
from sparta_rtl.host import CORE_ID, LoadTarget, Register
from sparta_sim.cache import content_key
from sparta_sim.cycles.stream import IDEAL_MEMORY, MemoryTiming
from sparta_sim.verilator import build_library, wave_format

__all__ = ["CoreSimulation", "Inferences"]

Words = NDArray[np.uint32]

DEFAULT_MAX_CYCLES = 50_000_000

_Progress = ctypes.CFUNCTYPE(ctypes.c_int)
_Pointer32 = ctypes.POINTER(ctypes.c_uint32)


class _Run(ctypes.Structure):
    """``struct Run`` of harness.cpp."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("samples", "words", "logits", "layers", "max_cycles")),
        *(
            (name, ctypes.c_uint32)
            for name in ("k", "stall_input", "stall_output", "stall_memory", "latency")
        ),
        *((name, ctypes.c_uint32) for name in ("record", "reset_state")),
        ("spikes", _Pointer32),
        ("results", ctypes.POINTER(ctypes.c_int32)),
        *((name, _Pointer32) for name in ("status", "cycles")),
        ("state", ctypes.POINTER(ctypes.c_int32)),
        *((name, _Pointer32) for name in ("stalls", "counters")),
        ("event_index", ctypes.POINTER(ctypes.c_uint64)),
        ("progress", _Progress),
    )


@dataclass(frozen=True)
class Inferences:
    """What the core answered, one row per sample.

    Parameters
    ----------
    logits : int32 array (samples, classes)
    clamped : bool array (samples,)
        K was out of range.
    cycles : uint32 array (samples,)
        Register CYCLES: clock cycles from start to the end of the last descriptor, measured.
    states : int32 array (samples,)
        Register STATE after each inference.
    stalls : uint32 array (samples,)
        Register STREAM_STALLS: cycles of those in which the core waited for weights; 0 if they are on chip.
    layer_cycles, layer_entries, layer_stalls : uint32 array (samples, descriptors)
        Registers COUNTER_CYCLES, COUNTER_ENTRIES and COUNTER_STALLS of each descriptor, measured.
    events : uint32 array (events, words of one event)
        Trace records: kind, descriptor, cycle, a, b, mask words, data words. Empty unless recorded.
    event_index : uint64 array (samples + 1,)
        Rows of ``events`` that belong to each sample.
    mask_words : int
        Words of a record's mask.
    """

    logits: NDArray[np.int32]
    clamped: NDArray[np.bool_]
    cycles: Words
    states: NDArray[np.int32]
    stalls: Words
    layer_cycles: Words
    layer_entries: Words
    layer_stalls: Words
    events: Words
    event_index: NDArray[np.uint64]
    mask_words: int

    def sample_events(self, sample: int) -> Words:
        """Trace records of one sample, in order."""
        return self.events[int(self.event_index[sample]) : int(self.event_index[sample + 1])]


class CoreSimulation:
    """One core in simulation, behind the registers and streams a real host has.

    Parameters
    ----------
    config : CoreConfig
        What the Verilog was generated from; the core's CONFIG register is checked against it.
    verilog : str, optional
        Module ``sparta_core``; generated from ``config`` when not given.
    wave : Path, optional
        Waveform file to write; the suffix ``.fst`` or ``.vcd`` chooses the format.
    coverage : bool
        Count how often each line runs and each bit changes, for :meth:`write_coverage`.
    brief : bool
        Built sooner, runs more slowly: for few cycles of a large core.
    seed : int
        Of the random stalls.

    Raises
    ------
    SpartaError
        The simulator cannot be built, or the core does not answer.
    ConfigError
        The Verilog is of another configuration.
    """

    def __init__(
        self,
        config: CoreConfig,
        *,
        verilog: str | None = None,
        wave: Path | None = None,
        coverage: bool = False,
        brief: bool = False,
        seed: int = 0,
    ) -> None:
        self.config = config
        if verilog is None:
            from sparta_rtl.generate import core_verilog

            verilog = core_verilog(config)
        self.core_key = content_key([verilog])
        self._library = _load_library(
            build_library(verilog, _format_of(wave), coverage=coverage, brief=brief)
        )
        self._core = self._library.sparta_create(str(wave).encode() if wave else None, seed)
        if not self._core:
            raise SpartaError(f"cannot write the waveform {wave}")
        identity, digest = self.read(Register.ID), self.read(Register.CONFIG)
        if identity != CORE_ID:
            raise ConfigError(f"the simulated core answers ID 0x{identity:08x}, not 0x{CORE_ID:08x}")
        if digest != config.digest:
            raise ConfigError(
                f"the simulated core has configuration 0x{digest:08x}, not {config.name!r}"
                f" (0x{config.digest:08x}): generate the Verilog again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation and its waveform file."""
        if self._core:
            self._library.sparta_destroy(self._core)
            self._core = None

    def write_coverage(self, path: Path) -> None:
        """Write what was counted so far, in Verilator's format; see :mod:`sparta_sim.coverage`."""
        self._library.sparta_write_coverage(self._core, str(path).encode())

    def read(self, register: Register) -> int:
        """Value of one register."""
        value = ctypes.c_uint32()
        self._check(self._library.sparta_read(self._core, register, ctypes.byref(value)))
        return value.value

    def write(self, register: Register, value: int) -> None:
        """Write one register, 32 bits, negative values in two's complement."""
        self._check(self._library.sparta_write(self._core, register, value & 0xFFFF_FFFF))

    def load(self, target: LoadTarget, words: Words) -> None:
        """Write a memory image, 32-bit words, row by row from row 0."""
        words = np.ascontiguousarray(words, dtype=np.uint32)
        self._check(self._library.sparta_load(self._core, target, _pointer(words), words.size))

    def stream(self, weights: NDArray[np.uint8], address: int = 0) -> None:
        """Put rows of weights (rows, P) into external memory, and make the core stream them.

        Parameters
        ----------
        weights : uint8 array (rows, P)
            In the order in which the core uses them.
        address : int
            Where; a multiple of 4 KiB.
        """
        image = np.ascontiguousarray(weights, dtype=np.uint8)
        bytes_ = _pointer(image, ctypes.c_uint8)
        self._check(self._library.sparta_stream(self._core, bytes_, image.size, address, len(image)))

    def spoil(self, offset: int) -> None:
        """From now on external memory answers with an error where the streamed image has this byte."""
        self._library.sparta_spoil(self._core, offset)

    def interrupt(self, spikes: Words, *, k: int, cycles: int, reset: bool) -> None:
        """Begin an inference and end it early: the core is idle again, its memories as they were.

        Parameters
        ----------
        spikes : uint32 array (words,)
            Input lines of one sample.
        k : int
            Register K.
        cycles : int
            Clock cycles from the first word of the input stream to the interruption.
        reset : bool
            By the reset input, for one cycle; else by an abort through register CONTROL.
        """
        spikes = np.ascontiguousarray(spikes, dtype=np.uint32)
        self._check(
            self._library.sparta_interrupt(self._core, _pointer(spikes), spikes.size, k, cycles, reset)
        )

    def toggle(self, spikes: Words, *, k: int, cycles: int) -> None:
        """Begin an inference, then toggle the clock and do nothing else: the speed of the Verilated model alone.

        Parameters
        ----------
        spikes : uint32 array (words,)
            Input lines of one sample.
        k : int
            Register K.
        cycles : int
            Clock cycles from the start on; at least those of the inference, or the core is left busy.
        """
        spikes = np.ascontiguousarray(spikes, dtype=np.uint32)
        self._check(self._library.sparta_toggle(self._core, _pointer(spikes), spikes.size, k, cycles))

    def run(
        self,
        spikes: Words,
        *,
        k: int,
        logits: int,
        layers: int,
        stalls: float = 0.0,
        memory: MemoryTiming = IDEAL_MEMORY,
        record: bool = True,
        reset_state: bool = True,
        max_cycles: int = DEFAULT_MAX_CYCLES,
        progress: Callable[[], object] | None = None,
    ) -> Inferences:
        """Run inferences back to back, without Python in between.

        Parameters
        ----------
        spikes : uint32 array (samples, words)
            Input lines as words, lowest bits first.
        k : int
            Register K.
        logits, layers : int
            Results of one inference; descriptors whose counters are read.
        stalls : float
            Probability, 0 to 0.99, that a stream pauses in a cycle, on both streams.
        memory : MemoryTiming
            Of streamed weights. Without its stalls each inference begins when weights have come as far as they can.
        record : bool
            Keep the trace events.
        reset_state : bool
            Start the first sample from feedback state 0, not from where the last one left it.
        max_cycles : int
            Limit of each sample's stream, and of its inference.
        progress : callable, optional
            Called after each sample.

        Raises
        ------
        SpartaError
            The core does not finish in time, sends another number of results, ends because its external memory
            answered with an error, or breaks the AXI4 protocol.
        """
        if not 0 <= stalls <= 0.99:
            raise SpartaError(f"the stall probability must be 0 to 0.99, not {stalls}")
        spikes = np.ascontiguousarray(spikes, dtype=np.uint32)
        samples = len(spikes)
        results = np.zeros((samples, logits), np.int32)
        status, cycles = np.zeros(samples, np.uint32), np.zeros(samples, np.uint32)
        states = np.zeros(samples, np.int32)
        waits, counters = np.zeros(samples, np.uint32), np.zeros((samples, layers, 3), np.uint32)
        index = np.zeros(samples + 1, np.uint64)
        raised: list[BaseException] = []

        def after_sample() -> int:
            try:
                if progress:
                    progress()
            except BaseException as error:  # C++ frames lie between here and the caller
                raised.append(error)
            return len(raised)

        stall = round(stalls * 256)
        request = _Run(
            samples, spikes[0].size if samples else 0, logits, layers, max_cycles, k, stall, stall,
            round(memory.stalls * 256), memory.latency, record, reset_state, _pointer(spikes),
            _pointer(results, ctypes.c_int32), _pointer(status), _pointer(cycles),
            _pointer(states, ctypes.c_int32), _pointer(waits), _pointer(counters),
            _pointer(index, ctypes.c_uint64), _Progress(after_sample),
        )  # fmt: skip
        done = self._library.sparta_run(self._core, ctypes.byref(request))
        if raised:
            raise raised[0]
        self._check(done)
        return Inferences(
            results, (status & 2) != 0, cycles, states, waits, counters[..., 0], counters[..., 1], counters[..., 2],
            self._events(int(index[-1])), index, self._mask_words,
        )  # fmt: skip

    def _events(self, count: int) -> Words:
        width = self._library.sparta_event_words()
        if not count:
            return np.zeros((0, width), np.uint32)
        return np.ctypeslib.as_array(self._library.sparta_events(self._core), (count, width)).copy()

    @cached_property
    def _mask_words(self) -> int:
        return int(self._library.sparta_mask_words())

    def _check(self, status: int) -> None:
        if status < 0:
            raise SpartaError(
                f"simulation of core {self.config.name!r}: {self._library.sparta_error(self._core).decode()}"
            )


def _format_of(wave: Path | None) -> str | None:
    if wave is None:
        return None
    best = wave_format()
    chosen = wave.suffix.lstrip(".")
    if chosen not in ("fst", "vcd"):
        raise SpartaError(f"waveform {wave}: the name must end in .fst or .vcd")
    if chosen == "fst" and best != "fst":
        raise SpartaError(
            f"waveform {wave}: FST needs the headers lz4.h and zlib.h (apt install liblz4-dev zlib1g-dev);"
            " without them name the file .vcd"
        )
    return chosen


def _pointer(array: np.ndarray, kind: type = ctypes.c_uint32) -> "ctypes._Pointer":
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _load_library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    handle, status = ctypes.c_void_p, ctypes.c_int
    signatures = {
        "sparta_create": (handle, [ctypes.c_char_p, ctypes.c_uint64]),
        "sparta_destroy": (None, [handle]),
        "sparta_write_coverage": (None, [handle, ctypes.c_char_p]),
        "sparta_error": (ctypes.c_char_p, [handle]),
        "sparta_event_words": (ctypes.c_uint64, []),
        "sparta_mask_words": (ctypes.c_uint64, []),
        "sparta_events": (_Pointer32, [handle]),
        "sparta_read": (status, [handle, ctypes.c_uint32, _Pointer32]),
        "sparta_write": (status, [handle, ctypes.c_uint32, ctypes.c_uint32]),
        "sparta_load": (status, [handle, ctypes.c_uint32, _Pointer32, ctypes.c_uint64]),
        "sparta_stream": (
            status,
            [handle, ctypes.POINTER(ctypes.c_uint8), ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32],
        ),
        "sparta_spoil": (None, [handle, ctypes.c_uint64]),
        "sparta_interrupt": (
            status,
            [handle, _Pointer32, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint64, status],
        ),
        "sparta_toggle": (status, [handle, _Pointer32, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint64]),
        "sparta_run": (ctypes.c_int64, [handle, ctypes.POINTER(_Run)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
