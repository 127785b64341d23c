"""Whether a data set and a network belong together."""

from sparta_hw.errors import ConfigError
from sparta_quant.config import SpartaConfig
from sparta_quant.data.dataset import Dataset, Split
from sparta_quant.data.registry import open_dataset

__all__ = ["check_fit", "open_coded", "open_fitting"]


def check_fit(config: SpartaConfig, dataset: Dataset) -> None:
    """Refuse a data set that the network cannot take.

    Raises
    ------
    ConfigError
        Shape, steps or coding differ, or there are more classes than logits.
    """
    shape, wanted = "x".join(map(str, dataset.shape)), "x".join(map(str, config.input))
    problems = {
        f"its samples are {shape}, the network takes {wanted}": dataset.shape != config.input,
        f"it is for coding {dataset.coding!r}, the network has {config.coding!r}": (
            (dataset.coding == "direct") != (config.coding == "direct")
        ),
        f"its samples have {dataset.steps} steps, the network has {config.timesteps}": (
            config.coding != "direct" and dataset.steps != config.timesteps
        ),
        f"it has {len(dataset.classes)} classes, the network has {config.classes} logits": (
            len(dataset.classes) > config.classes
        ),
    }
    for problem, found in problems.items():
        if found:
            raise ConfigError(f"data set {dataset.name!r} does not fit network {config.name!r}: {problem}")


def open_coded(source: str, split: Split, config: SpartaConfig) -> Dataset:
    """A data set at the steps, the size and the coding of a network; pixels become spikes with ``coding="rate"``.

    Raises
    ------
    InputFileError
        It cannot be read.
    """
    dataset = open_dataset(source, split, steps=config.timesteps, size=config.input[1:])
    if config.coding == "rate" and dataset.coding == "direct":
        return dataset.rate_coded(config.timesteps)
    return dataset


def open_fitting(source: str, split: Split, config: SpartaConfig) -> Dataset:
    """:func:`open_coded`, checked to fit the network.

    Parameters
    ----------
    source : str
        As for :func:`~sparta_quant.data.open_dataset`.
    split : str
        ``train`` or ``test``.
    config : SpartaConfig
        Of the network.

    Raises
    ------
    InputFileError
        It cannot be read.
    ConfigError
        It does not fit, as :func:`check_fit` says.
    """
    dataset = open_coded(source, split, config)
    check_fit(config, dataset)
    return dataset
