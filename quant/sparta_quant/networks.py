"""From a configuration, or from integers, to its network."""

from sparta_hw.errors import ConfigError
from sparta_quant.config import SpartaConfig
from sparta_quant.integers import NetworkIntegers
from sparta_quant.network import SpartaNetwork
from sparta_quant.plain_network import PlainNetwork
from sparta_quant.spiking_network import SpikingNetwork

__all__ = ["build_network", "network_from_integers", "with_tokens"]


def build_network(config: SpartaConfig) -> SpikingNetwork:
    """A network with initial parameters, from torch's global generator."""
    return _kind(config)(config)


def network_from_integers(integers: NetworkIntegers) -> SpikingNetwork:
    """A deployed network."""
    return _kind(integers.config).from_integers(integers)


def with_tokens(network: SpikingNetwork) -> SpartaNetwork:
    """The network, which must have tokens.

    Raises
    ------
    ConfigError
        It counts spikes.
    """
    if not isinstance(network, SpartaNetwork):
        raise ConfigError(
            f"network {network.config.name!r} counts spikes, this is about tokens; take another network"
        )
    return network


def _kind(config: SpartaConfig) -> type[SpikingNetwork]:
    return PlainNetwork if config.readout == "counts" else SpartaNetwork
