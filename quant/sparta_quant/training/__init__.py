"""Training: first in floats, then on the fixed-point grids; it continues where it was interrupted."""

from sparta_quant.training.settings import TrainSettings, default_settings
from sparta_quant.training.train import HISTORY_FILE, NETWORK_FILE, STATE_FILE, train

__all__ = ["HISTORY_FILE", "NETWORK_FILE", "STATE_FILE", "TrainSettings", "default_settings", "train"]
