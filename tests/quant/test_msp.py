"""Records add the scales up, and saturate."""

from dataclasses import replace

import numpy as np
import torch

from sparta_quant.config import SpartaConfig
from sparta_quant.cues import Cues
from sparta_quant.integers import ScoreIntegers
from sparta_quant.msp import MSP


def test_records_are_sums_over_the_scales(full_config: SpartaConfig) -> None:
    rng = np.random.default_rng(0)
    msp = MSP(replace(full_config, feedback=None))
    integers = tuple(ScoreIntegers(*rng.integers(-1024, 1024, (2, 4, 65))) for _ in range(3))
    msp.freeze(integers)
    for module in msp.modules():
        module.exact = True
    cues = [rng.integers(0, 65, (4, 2, positions)) for positions in (16, 16, 4)]
    record = msp([Cues(*(torch.from_numpy(cue).float() / 8 for cue in scale)) for scale in cues])
    rows, columns = np.divmod(np.arange(16), 4)
    on_grid = [cues[0], cues[1], cues[2][:, :, rows // 2 * 2 + columns // 2]]
    saturated = 0
    for result, name in ((record.msp, "msp"), (record.temporal, "temporal")):
        total = sum(
            getattr(tables, name)[n][scale[n]]
            for tables, scale in zip(integers, on_grid, strict=True)
            for n in range(4)
        )
        np.testing.assert_array_equal(result.numpy() * 16, total.clip(-2048, 2047))
        saturated += int((np.abs(total) > 2048).sum())
    assert saturated > 0
    for result, n in ((record.first, 0), (record.interval, 1), (record.rate, 3)):
        np.testing.assert_array_equal(result.numpy() * 8, sum(scale[n] for scale in on_grid))


def test_temporal_score_is_learned_only_where_it_is_used(full_config: SpartaConfig) -> None:
    plain = replace(full_config, fusion=False, temperature=False, feedback=None)
    names = {name.split(".")[-1] for name, _ in MSP(plain).named_parameters()}
    assert names == {"msp_first", "msp_interval", "msp_burst", "msp_rate"}
    assert not MSP(plain).integers()[0].temporal.any()
    assert MSP(full_config).integers()[0].temporal.any()
