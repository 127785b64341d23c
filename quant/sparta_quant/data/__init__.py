"""Data sets: the embedded digits, and event recordings and images in their public layouts on disk."""

from sparta_quant.data.augment import Augmentation
from sparta_quant.data.dataset import Dataset, Split, rate_coded
from sparta_quant.data.digits import DIGITS, load_digits
from sparta_quant.data.registry import check_has_splits, open_dataset

__all__ = [
    "DIGITS",
    "Augmentation",
    "Dataset",
    "Split",
    "check_has_splits",
    "load_digits",
    "open_dataset",
    "rate_coded",
]
