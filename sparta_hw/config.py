"""The one description of a core: the generator builds it, the compiler checks networks against it."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from sparta_hw.errors import ConfigError

__all__ = ["NAMED_CONFIGS", "CoreConfig", "load_config"]

TOPK_METHODS = ("sorter", "radix")


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """Size of one core.

    Parameters
    ----------
    name : str
        Name in reports.
    lanes : int
        P, output channels computed at once, and multipliers of the attention unit; a power of two.
    fire_share : int
        Lanes that take turns in one lane of the fire stage; a power of two, 1 with attention or S > 1.
    weight_bits : int
        Width of a weight: 4, 6 or 8.
    steps : int
        S, time steps accumulated at once, 1 to 32.
    line : int
        L, entries in one line of the spike memory; a power of two, a multiple of ``fire_lanes``.
    acc_bits : int
        Width of one accumulator (one lane, one step).
    sum_sets : int
        Sets of finished sums, P x S each, that wait for the fire stage, 1 to 8: so many positions of few spikes may
        follow one another before the accumulators wait.
    sum_bits : int
        Width of a number recombined from its bit planes, and of a logit.
    max_steps : int
        Largest T, at most 32.
    max_tokens, max_topk, max_features : int
        Largest N (of the grid too), K and token width D.
    topk : str
        What selects the K tokens: ``sorter``, of ``max_topk`` cells, in rank order; or ``radix``, far smaller and up
        to (N - K) / 4 + 28 cycles slower a ranking, in order of index, which patch grouping cannot use.
    scales : int
        Largest number of MSP scales, 1 to 3.
    spike_lines, weight_rows, layers : int
        Depths of the spike, weight and program memories.
    stream_bits : int
        Width of the AXI4 read port through which weights stream in from external memory, a power of two from 32 up
        to one weight row; the weight memory is then a ring of ``weight_rows`` (a power of two), in which the next
        tile arrives while one computes. 0: the weight memory holds all weights, and there is no such port.
    attention : bool
        Everything that handles tokens: cues, scores, ranking, gate, gather, attention, pool, feedback.
    counts : bool
        The read-out that counts the last layer's spikes.
    """

    name: str
    lanes: int = 16
    fire_share: int = 1
    weight_bits: int = 8
    steps: int = 8
    line: int = 16
    acc_bits: int = 18
    sum_sets: int = 1
    sum_bits: int = 28
    max_steps: int = 8
    max_tokens: int = 64
    max_topk: int = 64
    max_features: int = 64
    topk: str = "sorter"
    scales: int = 3
    spike_lines: int = 1024
    weight_rows: int = 1024
    layers: int = 16
    stream_bits: int = 0
    attention: bool = True
    counts: bool = False

    # Formats of the numerics contract, the same in every core (ARCHITECTURE.md, "Numbers").
    max_weight_bits = 8
    bias_bits = 24
    membrane_bits = 16
    tau_bits = 8
    token_bits = 8
    cue_frac = 3
    score_bits = 12
    score_frac = 4
    table_bits = 11
    gain_bits = 8
    gain_frac = 6
    pool_bits = 28
    cue_bits = 11
    inhibition_bits = 7
    inhibition_frac = 6
    hidden_units = 8
    hidden_bits = 11
    mlp_weight_bits = 8
    mlp_bias_bits = 24
    sparsity_frac = 8
    state_bits = 26
    state_frac = 8
    exp_bits = 12
    reciprocal_bits = 7

    def __post_init__(self) -> None:
        for field in ("lanes", "line", "fire_share"):
            value = getattr(self, field)
            if value < 1 or value & (value - 1):
                raise ConfigError(f"core {self.name!r}: {field} must be a power of two, not {value}")
        if self.lanes % self.fire_share or self.line % self.fire_lanes:
            raise ConfigError(
                f"core {self.name!r}: line ({self.line}) must be a multiple of lanes / fire_share "
                f"({self.lanes} / {self.fire_share})"
            )
        if self.fire_share > 1 and (self.attention or self.steps > 1):
            raise ConfigError(
                f"core {self.name!r}: fire_share is {self.fire_share}; with attention, or steps of more than 1, it "
                "must be 1"
            )
        if self.weight_bits not in (4, 6, 8):
            raise ConfigError(f"core {self.name!r}: weight_bits must be 4, 6 or 8, not {self.weight_bits}")
        if not (self.attention or self.counts):
            raise ConfigError(f"core {self.name!r}: needs a way to answer: attention or counts")
        limits = {
            "lanes": (2, 256),
            "line": (2, 256),
            "fire_share": (1, 16),
            "steps": (1, 32),
            "max_steps": (1, 32),
            "max_tokens": (2, 1024),
            "max_topk": (1, self.max_tokens),
            "max_features": (1, 4096),
            "scales": (1, 3),
            "spike_lines": (2, 1 << 16),
            "weight_rows": (2, 1 << 20),
            "layers": (2, 256),
            "acc_bits": (9, 32),
            "sum_sets": (1, 8),
            "sum_bits": (16, 48),
        }
        for field, (low, high) in limits.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise ConfigError(f"core {self.name!r}: {field} must be {low} to {high}, not {value}")
        if self.topk not in TOPK_METHODS:
            methods = " or ".join(map(repr, TOPK_METHODS))
            raise ConfigError(f"core {self.name!r}: topk must be {methods}, not {self.topk!r}")
        if self.stream_bits:
            self._check_stream()

    def _check_stream(self) -> None:
        bits, row = self.stream_bits, self.lanes * self.weight_bits
        if self.weight_bits != self.max_weight_bits:
            raise ConfigError(
                f"core {self.name!r}: weight_bits is {self.weight_bits}; streamed weights have "
                f"{self.max_weight_bits}"
            )
        if not 32 <= bits <= min(row, 1024) or bits & (bits - 1):
            raise ConfigError(
                f"core {self.name!r}: stream_bits must be a power of two, 32 to {min(row, 1024)} (a weight row "
                f"has {row}), not {bits}; use 0 for weights on chip, or more lanes"
            )
        if self.counts:
            raise ConfigError(
                f"core {self.name!r}: weights are streamed (stream_bits) into cores without counts only"
            )
        if self.weight_rows < 8 or self.weight_rows & (self.weight_rows - 1):
            raise ConfigError(
                f"core {self.name!r}: weight_rows must be a power of two, at least 8, where weights are streamed, "
                f"not {self.weight_rows}"
            )

    @property
    def row_beats(self) -> int:
        """Beats of the AXI4 port that make a weight row, of a core that streams them."""
        return self.lanes * self.weight_bits // self.stream_bits

    @property
    def burst_beats(self) -> int:
        """Beats of one AXI4 burst: at most 256, 4 KiB, and an eighth of the weight memory."""
        return min(256, 4096 * 8 // self.stream_bits, self.weight_rows * self.row_beats // 8)

    @property
    def burst_rows(self) -> int:
        """Weight rows of one AXI4 burst."""
        return self.burst_beats // self.row_beats

    @property
    def segments(self) -> int:
        """Parts of a spike memory line that are written alone, ``fire_lanes`` entries each."""
        return self.line // self.fire_lanes

    @property
    def fire_lanes(self) -> int:
        """F, lanes of the fire stage: P unless lanes share them."""
        return self.lanes // self.fire_share

    @property
    def header_rows(self) -> int:
        """Weight rows before a tile's weights: its biases, thresholds and leaks, ``weight_bits`` a lane and row."""
        rows = (self.bias_bits + self.membrane_bits + self.tau_bits) // self.weight_bits
        return -(-rows // self.fire_share) * self.fire_share

    @property
    def silent_cue(self) -> int:
        """Largest value of a cue on its grid: T of the longest spike word."""
        return self.max_steps << self.cue_frac

    @property
    def digest(self) -> int:
        """32 bits that tell one configuration from another; programs carry it, cores answer with it."""
        text = json.dumps({k: v for k, v in asdict(self).items() if k != "name"}, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def groups(self, steps: int) -> int:
        """Lines that hold ``steps`` time steps (or bit planes) of the same entries."""
        return -(-steps // self.steps)

    def to_json(self) -> str:
        """The configuration as JSON text, as :func:`load_config` reads it."""
        return json.dumps(asdict(self), indent=2) + "\n"


_PAPER = CoreConfig(
    name="paper",
    lanes=64,
    line=64,
    acc_bits=22,
    max_steps=32,
    max_tokens=256,
    max_topk=256,
    max_features=512,
    spike_lines=32768,
    weight_rows=1 << 18,
    layers=192,
)

NAMED_CONFIGS = {
    config.name: config
    for config in (
        CoreConfig(name="digits", sum_sets=4),
        CoreConfig(name="standard", steps=4),
        CoreConfig(name="wide", lanes=32, line=32, spike_lines=512, weight_rows=512),
        CoreConfig(
            name="tiny",
            lanes=4,
            steps=4,
            line=8,
            max_tokens=16,
            max_topk=16,
            max_features=32,
            spike_lines=1024,
            weight_rows=8192,
            layers=48,
        ),
        CoreConfig(
            name="mlp",
            lanes=128,
            fire_share=8,
            weight_bits=6,
            steps=1,
            line=64,
            acc_bits=15,
            sum_bits=16,
            max_steps=32,
            spike_lines=512,
            weight_rows=1024,
            layers=4,
            attention=False,
            counts=True,
        ),
        CoreConfig(
            name="nmnist",
            steps=16,
            sum_sets=2,
            max_steps=16,
            max_tokens=128,
            max_features=128,
            spike_lines=2560,
            weight_rows=16384,
            layers=48,
        ),
        CoreConfig(
            name="gesture",
            steps=20,
            sum_sets=2,
            max_steps=20,
            max_tokens=256,
            max_topk=256,
            spike_lines=4608,
            weight_rows=8192,
            layers=64,
        ),
        CoreConfig(
            name="cifar10",
            lanes=32,
            steps=4,
            line=32,
            acc_bits=20,
            max_features=128,
            spike_lines=4096,
            weight_rows=32768,
            layers=64,
        ),
        _PAPER,
        replace(_PAPER, name="paper-stream", weight_rows=1 << 14, stream_bits=128),
    )
}


def load_config(source: str) -> CoreConfig:
    """A core configuration by name, or from a JSON file.

    Raises
    ------
    ConfigError
        The name is unknown, or the file has a field that no core has.
    """
    if source in NAMED_CONFIGS:
        return NAMED_CONFIGS[source]
    path = Path(source)
    if not path.is_file():
        names = ", ".join(sorted(NAMED_CONFIGS))
        raise ConfigError(f"no core configuration {source!r}: name one of {names}, or a JSON file")
    try:
        values = json.loads(path.read_text())
        unknown = set(values) - {field.name for field in fields(CoreConfig)}
        if unknown:
            raise ConfigError(f"{path}: unknown field {sorted(unknown)[0]!r} in a core configuration")
        return CoreConfig(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a core configuration: {error}") from error
