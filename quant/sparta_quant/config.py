"""Shape and fixed-point formats of one SPARTA network."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_hw.numerics import FixedPoint
from sparta_hw.sparsity import SPARSITY_LEVELS, topk_of

__all__ = ["CUES", "Branches", "Feedback", "SpartaConfig", "StemLayer"]

CUES = ("first", "interval", "burst", "rate")
"""The cues in the order of their tables."""


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
class Branches:
    """The three parallel branches of STEN, on the spikes of the last stem layer.

    Parameters
    ----------
    fine, local, context : int
        Channels of the 1x1 branch, the 3x3 branch, and the adaptively pooled one.
    cells : int
        Rows and columns that the grid is pooled to; divides both of its sides.
    reset : {"hard", "soft"}
        How a neuron returns after a spike.
    """

    fine: int
    local: int
    context: int
    cells: int
    reset: Literal["hard", "soft"] = "soft"


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Feedback controller: thresholds follow the average activity of the attention (paper; ARCHITECTURE.md).

    Parameters
    ----------
    gain : int
        u8; the offset of a threshold is ``(state >> 8) * gain >> 8``.
    limit : int
        Largest offset on the membrane's grid, u12.
    rate_shift : int
        The average forgets ``2**-rate_shift`` an inference.
    """

    gain: int = 64
    limit: int = 64
    rate_shift: int = 3


@dataclass(frozen=True, kw_only=True)
class SpartaConfig:
    """A SPARTA network; each part of the paper can be switched off for ablation.

    With ``readout="counts"`` it is a plain spiking network, the stem alone: logits are the spike counts of its last
    layer, and whatever concerns tokens means nothing.

    Parameters
    ----------
    name : str
        For reports.
    timesteps : int
        T.
    input : tuple of int
        Channels, height and width.
    coding : {"spikes", "rate", "direct"}
        Input spikes (T, C, H, W), the same drawn at random from pixels, or pixels 0 to 255 (C, H, W) that the first
        layer sees in every step.
    stem : tuple of StemLayer
        STEN's cascading downsampling; positions of the last one are the grid tokens.
    branches : Branches or None
        STEN's parallel branches; each is one scale of MSP. None: the last stem layer is the one scale.
    timing_attention : bool
        STEN's timing-aware attention.
    msp_cues : tuple of str
        Cues that the MSP score uses (paper Table 4); eq. 5 has first, interval and rate.
    groups : int or None
        N, tokens after patch grouping; None: the grid tokens.
    fusion : bool
        STSG ranks by the fusion MLP of spatial, MSP and temporal score (eq. 8); False: by the MSP score.
    spatial : bool
        Centre-surround inhibition takes part in the fusion.
    dynamic_k : bool
        K of each sample from its cues (eq. 6-7).
    k_min : int
        Smallest dynamic K.
    priority : bool
        The sparse classifier ranks by its own priority; False: it takes STSG's winners.
    temperature : bool
        Sharpness of a token's attention by its urgency.
    heads, attention_layers : int
        Of the sparse attention; heads divide D.
    feedback : Feedback or None
        Feedback controller.
    tau_mu, tau_sigma, v_mu, v_sigma : float
        Normal priors of time constants and thresholds (Algorithm 1, Table 2); ``v_sigma`` as a part of ``v_mu``.
    learn_priors : bool
        Whether means and deviations are learned.
    readout : {"attention", "counts"}
        Cues, scores, selection, attention and classifier; or how often each neuron of the last layer spikes.
    classes : int
        Logits.
    default_k : int
        Tokens that attend when the caller names no number, 1 to N; 0, only with ``dynamic_k``: each sample's own.
    weight_bits : int
        Width of the weights of the spiking convolutions, 2 to 8.
    projection_bias : bool
        Whether query, key and value have biases.
    v_reset : int
        Membrane at the start and after a hard reset, on the grid of the membrane; zero with soft reset.
    membrane_frac, token_frac, query_frac, key_frac, value_frac, hidden_frac, pooled_frac : int
        Fractional bits of the s16 membrane, the tokens, the s8 projections, the s8 residual stream between
        attention layers, and the s8 pooled features.
    """

    name: str
    timesteps: int
    input: tuple[int, int, int]
    stem: tuple[StemLayer, ...]
    classes: int
    default_k: int = 0
    readout: Literal["attention", "counts"] = "attention"
    weight_bits: int = CoreConfig.max_weight_bits
    coding: Literal["spikes", "rate", "direct"] = "spikes"
    branches: Branches | None = None
    timing_attention: bool = False
    msp_cues: tuple[str, ...] = CUES
    groups: int | None = None
    fusion: bool = False
    spatial: bool = True
    dynamic_k: bool = False
    k_min: int = 4
    priority: bool = False
    temperature: bool = False
    heads: int = 1
    attention_layers: int = 1
    feedback: Feedback | None = None
    tau_mu: float = 2.0
    tau_sigma: float = 0.3
    v_mu: float = 1.0
    v_sigma: float = 0.2
    learn_priors: bool = True
    projection_bias: bool = True
    v_reset: int = 0
    membrane_frac: int = 8
    token_frac: int = 4
    query_frac: int = 4
    key_frac: int = 4
    value_frac: int = 4
    hidden_frac: int = 4
    pooled_frac: int = -2

    def __post_init__(self) -> None:
        if not self.stem:
            raise ConfigError(f"network {self.name!r}: the stem needs at least one layer")
        if not 2 <= self.weight_bits <= CoreConfig.max_weight_bits:
            raise ConfigError(
                f"network {self.name!r}: weight_bits must be 2 to {CoreConfig.max_weight_bits}, not {self.weight_bits}"
            )
        if self.readout == "counts":
            self._check_counts()
        else:
            self._check_attention()

    def _check_counts(self) -> None:
        if self.shapes[-1] != (self.classes, 1, 1):
            found = "x".join(map(str, self.shapes[-1]))
            raise ConfigError(
                f"network {self.name!r}: the last layer is {found}; to be counted it must have one neuron a class, "
                f"{self.classes}x1x1"
            )
        for part in ("branches", "groups", "feedback"):
            if getattr(self, part) is not None:
                raise ConfigError(
                    f"network {self.name!r}: {part} needs tokens, which a network of counts has none of"
                )

    def _check_attention(self) -> None:
        lowest_k = 0 if self.dynamic_k else 1
        if not lowest_k <= self.default_k <= self.tokens:
            raise ConfigError(
                f"network {self.name!r}: default_k must be {lowest_k} to {self.tokens} (its tokens), "
                f"not {self.default_k}"
            )
        if self.dynamic_k and not 1 <= self.k_min <= self.tokens:
            raise ConfigError(
                f"network {self.name!r}: k_min must be 1 to {self.tokens} (its tokens), not {self.k_min}"
            )
        if unknown := set(self.msp_cues) - set(CUES):
            raise ConfigError(
                f"network {self.name!r}: msp_cues has {sorted(unknown)[0]!r}; cues are {', '.join(CUES)}"
            )
        if self.features % self.heads:
            raise ConfigError(
                f"network {self.name!r}: heads ({self.heads}) must divide the {self.features} features of a token"
            )
        if self.branches and any(side % self.branches.cells for side in self.grid):
            raise ConfigError(
                f"network {self.name!r}: cells ({self.branches.cells}) must divide both sides of the token grid "
                f"{self.grid[0]}x{self.grid[1]}"
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
    def grid(self) -> tuple[int, int]:
        """Height and width of the token grid: positions of the last stem layer."""
        _, height, width = self.shapes[-1]
        return height, width

    @property
    def grid_tokens(self) -> int:
        """Positions of the token grid."""
        height, width = self.grid
        return height * width

    @property
    def tokens(self) -> int:
        """N, tokens that STSG and the classifier see; 0 where spikes are counted."""
        return 0 if self.readout == "counts" else self.groups or self.grid_tokens

    @property
    def scale_channels(self) -> tuple[int, ...]:
        """Channels of each scale of MSP: fine, local, context, or the last stem layer alone."""
        if self.branches is None:
            return (self.stem[-1].channels,)
        return self.branches.fine, self.branches.local, self.branches.context

    @property
    def features(self) -> int:
        """D, features of a token: the channels of all scales."""
        return sum(self.scale_channels)

    @property
    def k_levels(self) -> tuple[int, ...]:
        """K of each of :data:`~sparta_hw.sparsity.SPARSITY_LEVELS`; none where there are no tokens."""
        if not self.tokens:
            return ()
        return tuple(topk_of(self.tokens, percent) for percent in SPARSITY_LEVELS)

    @property
    def membrane(self) -> FixedPoint:
        """Format of currents, membranes and thresholds."""
        return FixedPoint(CoreConfig.membrane_bits, self.membrane_frac)

    @property
    def token(self) -> FixedPoint:
        """Format of gated tokens, which are not negative; s8 where they share a layer with s8 attention."""
        return FixedPoint(CoreConfig.token_bits, self.token_frac, signed=self.attention_layers > 1)

    @property
    def hidden(self) -> FixedPoint:
        """Format of the residual stream between attention layers."""
        return FixedPoint(CoreConfig.token_bits, self.hidden_frac)

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
                "msp_cues": tuple(values.get("msp_cues", CUES)),
                "branches": Branches(**values["branches"]) if values.get("branches") else None,
                "feedback": Feedback(**values["feedback"]) if values.get("feedback") else None,
            }
        )
