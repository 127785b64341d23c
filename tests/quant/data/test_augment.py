"""Augmentation keeps what it must and repeats with its generator."""

import pytest
import torch

from sparta_quant.data import Augmentation


@pytest.fixture
def words() -> torch.Tensor:
    return torch.randint(
        1 << 16, (64, 2, 6, 7), dtype=torch.int32, generator=torch.Generator().manual_seed(3)
    )


def augmented(augmentation: Augmentation, inputs: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return augmentation(inputs, torch.Generator().manual_seed(seed))


def test_the_same_generator_gives_the_same_batch(words: torch.Tensor) -> None:
    augmentation = Augmentation(shift=2, flip=True, drop=0.25)
    assert torch.equal(augmented(augmentation, words), augmented(augmentation, words))
    assert not torch.equal(augmented(augmentation, words), augmented(augmentation, words, seed=1))


def test_nothing_switched_on_changes_nothing(words: torch.Tensor) -> None:
    assert torch.equal(augmented(Augmentation(), words), words)


def test_shift_moves_each_sample_and_fills_with_zeros() -> None:
    one = torch.zeros(200, 1, 5, 5, dtype=torch.int32)
    one[:, 0, 2, 2] = 7
    moved = augmented(Augmentation(shift=2), one)
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((200,), 7))
    assert len({tuple(place[1:].tolist()) for place in moved.nonzero()}) == 25
    edge = augmented(Augmentation(shift=1), torch.ones(50, 1, 3, 3, dtype=torch.int32))
    assert set(edge.sum((1, 2, 3)).tolist()) == {4, 6, 9}


def test_rotation_turns_about_the_middle() -> None:
    line = torch.zeros(50, 1, 21, 21, dtype=torch.int32)
    line[:, 0, 10, :] = 3
    turned = augmented(Augmentation(rotation=30.0), line)
    assert bool((turned[:, 0, 10, 10] == 3).all())
    assert not torch.equal(turned, line)
    ends = (turned[:, 0, :, 1] > 0).float().argmax(1)
    assert 4 <= int(ends.min()) < 8
    assert 12 < int(ends.max()) <= 16


def test_zoom_changes_the_size_of_each_axis() -> None:
    block = torch.zeros(50, 1, 40, 40, dtype=torch.int32)
    block[:, 0, 10:30, 10:30] = 1
    zoomed = augmented(Augmentation(zoom=0.2), block)
    for axis in (2, 3):
        sizes = zoomed.amax(axis).sum(2)
        assert 16 <= int(sizes.min()) < 19
        assert 22 < int(sizes.max()) <= 26


def test_flip_mirrors_about_half(words: torch.Tensor) -> None:
    flipped = augmented(Augmentation(flip=True), words)
    same = (flipped == words).all(dim=3).all(dim=2).all(dim=1)
    mirrored = (flipped == words.flip(3)).all(dim=3).all(dim=2).all(dim=1)
    assert bool((same | mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


@pytest.mark.parametrize("drop", [0.125, 0.25, 0.5])
def test_drop_takes_events_only_away(words: torch.Tensor, drop: float) -> None:
    kept = augmented(Augmentation(drop=drop), words)
    assert torch.equal(kept & words, kept)
    count = [sum((batch >> bit & 1).sum().item() for bit in range(16)) for batch in (kept, words)]
    assert count[0] / count[1] == pytest.approx(1 - drop, abs=0.02)


def test_pixels_lose_no_events() -> None:
    pixels = torch.full((4, 3, 5, 5), 200, dtype=torch.uint8)
    assert torch.equal(augmented(Augmentation(drop=0.5), pixels), pixels)
