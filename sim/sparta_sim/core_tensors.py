"""Expected tensors as a core holds them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.vectors import of_ranks

__all__ = ["core_tensors"]


def core_tensors(
    config: CoreConfig, expected: Mapping[str, NDArray], topk: NDArray[np.int64]
) -> dict[str, NDArray]:
    """The tensors of vectors, and the gathered tokens, which vectors leave out, in the order of the core's lists.

    A core with radix selection lists tokens by index, not by rank. Attention, pool and feedback sum over the tokens
    in integers, so the order moves rows and changes no number. A plain network has no tokens to list.

    Parameters
    ----------
    config : CoreConfig
        The core.
    expected : mapping of str to int array (samples, *shape)
        By the names of docs/dialect.md, in rank order.
    topk : int array (samples,)
        K of each sample; rows from there on stay where they are.
    """
    if "winners" not in expected:
        return dict(expected)
    index = np.asarray(expected["index" if "index" in expected else "winners"]).astype(np.int64)
    tensors = dict(expected)
    if "selected" not in tensors:
        tokens = np.asarray(expected["tokens"])
        tensors["selected"] = np.take_along_axis(tokens, index[:, :, None], axis=1)
    if config.topk == "sorter":
        return tensors
    by_index = _ascending(index, topk)
    for name, values in tensors.items():
        if of_ranks(name):
            order = _ascending(np.asarray(values), topk) if name == "winners" else by_index
            tensors[name] = np.stack([sample[at] for sample, at in zip(values, order, strict=True)])
    return tensors


def _ascending(index: NDArray, topk: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of the n-th lowest index of each sample, n < K; n from K on."""
    own = np.arange(index.shape[1]) < np.asarray(topk)[:, None]
    return np.argsort(np.where(own, index, np.iinfo(np.int64).max), axis=1, kind="stable")
