"""Shape and fixed-point formats of one SPARTA network."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_hw.numerics import FixedPoint
from sparta_hw.sparsity import SPARSITY_LEVELS, topk_of

__all__ = ["DIGITS", "SpartaConfig", "StemLayer"]


@dataclass(frozen=True, kw_only=True)
class StemLayer:
    """One spiking convolution.

    Parameters
    ----------
    channels : int
        Output channels.
    kernel, stride, pad : int
        The same for both axes.
    reset : {"hard", "soft"}
        How a neuron returns after a spike.
    """

    channels: int
    kernel: int
    stride: int
    pad: int
    reset: Literal["hard", "soft"]


@dataclass(frozen=True, kw_only=True)
class SpartaConfig:
    """A network: spiking convolutions, token selection, one sparse attention layer, a classifier.

    Parameters
    ----------
    name : str
        For reports.
    timesteps : int
        T.
    input : tuple of int
        Channels, height and width of the spikes.
    stem : tuple of StemLayer
        Positions of the last one are the N tokens, its channels the D features.
    classes : int
        Logits.
    default_k : int
        Tokens that attend when the caller names no number, 1 to N.
    projection_bias : bool
        Whether query, key and value have biases.
    v_reset : int
        Membrane at the start and after a hard reset, on the grid of the membrane; zero with soft reset.
    v_mu : float
        Mean of the initial thresholds (paper Algorithm 1).
    membrane_frac, token_frac, query_frac, key_frac, value_frac, pooled_frac : int
        Fractional bits of the s16 membrane, the u8 tokens, the s8 projections and the s8 pooled features.
    """

    name: str
    timesteps: int
    input: tuple[int, int, int]
    stem: tuple[StemLayer, ...]
    classes: int
    default_k: int
    projection_bias: bool = True
    v_reset: int = 0
    v_mu: float = 1.0
    membrane_frac: int = 8
    token_frac: int = 4
    query_frac: int = 4
    key_frac: int = 4
    value_frac: int = 4
    pooled_frac: int = -2

    def __post_init__(self) -> None:
        if not self.stem:
            raise ConfigError(f"network {self.name!r}: the stem needs at least one layer")
        if not 1 <= self.default_k <= self.tokens:
            raise ConfigError(
                f"network {self.name!r}: default_k must be 1 to {self.tokens} (its tokens), "
                f"not {self.default_k}"
            )
        if self.token_frac > CoreConfig.gain_frac:
            raise ConfigError(
                f"network {self.name!r}: token_frac ({self.token_frac}) must be at most "
                f"{CoreConfig.gain_frac}, the fractional bits of the gains: the gate shifts to the right only"
            )
        if self.query_frac + self.key_frac < CoreConfig.score_frac:
            raise ConfigError(
                f"network {self.name!r}: query_frac + key_frac ({self.query_frac} + {self.key_frac}) must be "
                f"at least {CoreConfig.score_frac}, the fractional bits of the score"
            )
        if self.pooled_frac > max(self.token_frac, self.value_frac):
            raise ConfigError(
                f"network {self.name!r}: pooled_frac ({self.pooled_frac}) must not exceed both token_frac "
                f"({self.token_frac}) and value_frac ({self.value_frac})"
            )

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width after each stem layer."""
        shapes: list[tuple[int, int, int]] = []
        _, height, width = self.input
        for layer in self.stem:
            height, width = (
                (size + 2 * layer.pad - layer.kernel) // layer.stride + 1 for size in (height, width)
            )
            if height < 1 or width < 1:
                raise ConfigError(f"network {self.name!r}: stem layer {len(shapes)} has no output position")
            shapes.append((layer.channels, height, width))
        return tuple(shapes)

    @property
    def tokens(self) -> int:
        """N, positions of the last stem layer."""
        _, height, width = self.shapes[-1]
        return height * width

    @property
    def features(self) -> int:
        """D, channels of the last stem layer."""
        return self.stem[-1].channels

    @property
    def k_levels(self) -> tuple[int, ...]:
        """K of each of :data:`~sparta_hw.sparsity.SPARSITY_LEVELS`."""
        return tuple(topk_of(self.tokens, percent) for percent in SPARSITY_LEVELS)

    @property
    def membrane(self) -> FixedPoint:
        """Format of currents, membranes and thresholds."""
        return FixedPoint(CoreConfig.membrane_bits, self.membrane_frac)

    @property
    def token(self) -> FixedPoint:
        """Format of gated tokens."""
        return FixedPoint(CoreConfig.token_bits, self.token_frac, signed=False)

    @property
    def query(self) -> FixedPoint:
        """Format of queries."""
        return FixedPoint(CoreConfig.token_bits, self.query_frac)

    @property
    def key(self) -> FixedPoint:
        """Format of keys."""
        return FixedPoint(CoreConfig.token_bits, self.key_frac)

    @property
    def value(self) -> FixedPoint:
        """Format of values and of attention."""
        return FixedPoint(CoreConfig.token_bits, self.value_frac)

    @property
    def pooled(self) -> FixedPoint:
        """Format of pooled features."""
        return FixedPoint(CoreConfig.token_bits, self.pooled_frac)

    def layer_v_reset(self, layer: StemLayer) -> int:
        """Membrane at the start of ``layer``: ``v_reset``, or zero with soft reset."""
        return self.v_reset if layer.reset == "hard" else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as :meth:`from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SpartaConfig":
        """The configuration that :meth:`to_dict` wrote."""
        return cls(
            **{
                **values,
                "input": tuple(values["input"]),
                "stem": tuple(StemLayer(**layer) for layer in values["stem"]),
            }
        )


DIGITS = SpartaConfig(
    name="digits",
    timesteps=8,
    input=(2, 16, 16),
    stem=(
        StemLayer(channels=16, kernel=5, stride=2, pad=2, reset="hard"),
        StemLayer(channels=32, kernel=3, stride=1, pad=1, reset="soft"),
    ),
    classes=10,
    default_k=22,
)
"""The embedded default: handwritten digits as events, 64 tokens of 32 features."""
