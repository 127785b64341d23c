"""Bodies of what makes records of grid tokens and tokens of them: MSP, PatchGroup, CentreSurround."""

__all__ = ["BODIES"]

_MSP = """
MSP <frac> (first, interval, burst, rate, msp_tables, temporal_tables, cells)
    => (msp, temporal, grid_first, grid_interval, grid_rate)
{
    two = Constant <value = float {2.0}> ()
    frac = Constant <value_int: int = @frac> ()
    frac_float = Cast <to = 1> (frac)
    scale = Pow (two, frac_float)
    cue_axis = Constant <value = int64[1] {1}> ()
    row_first = Unsqueeze (first, cue_axis)
    row_interval = Unsqueeze (interval, cue_axis)
    row_burst = Unsqueeze (burst, cue_axis)
    row_rate = Unsqueeze (rate, cue_axis)
    rows = Concat <axis = 1> (row_first, row_interval, row_burst, row_rate)
    grid = Gather <axis = 2> (rows, cells)
    scaled = Mul (grid, scale)
    column = Cast <to = 7> (scaled)
    entry_count = Shape <start = 1, end = 2> (msp_tables)
    cue_number = Constant <value = int64[4, 1] {0, 1, 2, 3}> ()
    row = Mul (cue_number, entry_count)
    entry = Add (row, column)
    flat = Constant <value = int64[1] {-1}> ()
    msp_flat = Reshape (msp_tables, flat)
    temporal_flat = Reshape (temporal_tables, flat)
    msp_factors = Gather <axis = 0> (msp_flat, entry)
    temporal_factors = Gather <axis = 0> (temporal_flat, entry)
    msp = ReduceSum <keepdims = 0> (msp_factors, cue_axis)
    temporal = ReduceSum <keepdims = 0> (temporal_factors, cue_axis)
    grid_first = Gather <axis = 1> (first, cells)
    grid_interval = Gather <axis = 1> (interval, cells)
    grid_rate = Gather <axis = 1> (rate, cells)
}
"""

_PATCH_GROUP = """
PatchGroup <tokens> (rate) => (group) {
    grid_count = Shape <start = 1, end = 2> (rate)
    largest, order = TopK <axis = 1, largest = 1, sorted = 1> (rate, grid_count)
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    tokens = Constant <value_int: int = @tokens> ()
    token = Range (zero, tokens, one)
    distinct = Min (grid_count, tokens)
    rank = Mod (token, distinct)
    group = Gather <axis = 1> (order, rank)
}
"""

_CENTRE_SURROUND = """
CentreSurround <height, width, inhibition> (rate, group) => (spatial) {
    flat = Constant <value = int64[1] {-1}> ()
    height = Constant <value_int: int = @height> ()
    width = Constant <value_int: int = @width> ()
    height_vector = Reshape (height, flat)
    width_vector = Reshape (width, flat)
    one_channel = Constant <value = int64[2] {-1, 1}> ()
    image_shape = Concat <axis = 0> (one_channel, height_vector, width_vector)
    image = Reshape (rate, image_shape)
    ring = Constant <value = float[1, 1, 3, 3] {1, 1, 1, 1, 0, 1, 1, 1, 1}> ()
    surround_image = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (image, ring)
    grid_shape = Shape (rate)
    surround = Reshape (surround_image, grid_shape)
    inhibition = Constant <value_int: int = @inhibition> ()
    inhibition_float = Cast <to = 1> (inhibition)
    weight_unit = Constant <value = float {512.0}> ()
    weight = Div (inhibition_float, weight_unit)
    loss = Mul (surround, weight)
    competed = Sub (rate, loss)
    scale = Constant <value = float {8.0}> ()
    scaled = Mul (competed, scale)
    floored = Floor (scaled)
    low = Constant <value = float {-2048.0}> ()
    high = Constant <value = float {2047.0}> ()
    saturated = Clip (floored, low, high)
    grid = Div (saturated, scale)
    batch_count = Shape <start = 0, end = 1> (rate)
    token_count = Shape <start = 1, end = 2> (group)
    sizes = Concat <axis = 0> (batch_count, token_count)
    groups = Expand (group, sizes)
    spatial = GatherElements <axis = 1> (grid, groups)
}
"""

BODIES = (_MSP, _PATCH_GROUP, _CENTRE_SURROUND)
