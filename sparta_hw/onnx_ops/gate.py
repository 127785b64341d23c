"""Bodies of the gate: TokenGain, TokenGate, GatedRate."""

__all__ = ["BODIES"]

_TOKEN_GAIN = """
TokenGain (winners, k, msp, alpha, beta, timing) => (gain) {
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    rank_count_vector = Shape <start = 1, end = 2> (winners)
    rank_count = Squeeze (rank_count_vector)
    rank = Range (zero, rank_count, one)
    wins = Less (rank, k)
    winner_sizes = Shape (winners)
    winner_gain = Where (wins, alpha, beta)
    winner_gains = Expand (winner_gain, winner_sizes)
    sizes = Shape (msp)
    betas = Expand (beta, sizes)
    selected = ScatterElements <axis = 1> (betas, winners, winner_gains)
    bucket_width = Constant <value = float {2.0}> ()
    msp_scaled = Div (msp, bucket_width)
    msp_floor = Floor (msp_scaled)
    msp_bucket = Cast <to = 7> (msp_floor)
    middle = Constant <value = int64 {64}> ()
    bucket = Add (msp_bucket, middle)
    entries = Shape (timing)
    last_entry = Sub (entries, one)
    entry = Min (bucket, last_entry)
    factor = Gather <axis = 0> (timing, entry)
    timed = Mul (selected, factor)
    scale = Constant <value = float {64.0}> ()
    scaled = Mul (timed, scale)
    floored = Floor (scaled)
    largest = Constant <value = float {255.0}> ()
    saturated = Min (floored, largest)
    gain = Div (saturated, scale)
}
"""

_TOKEN_GATE = """
TokenGate <frac, bits, signed> (s, cells, gain, group) => (tokens) {
    time_axis = Constant <value = int64[1] {0}> ()
    count_image = ReduceSum <keepdims = 0> (s, time_axis)
    flat = Constant <value = int64[3] {0, 0, -1}> ()
    count_features = Reshape (count_image, flat)
    count_positions = Transpose <perm = [0, 2, 1]> (count_features)
    count_grid = Gather <axis = 1> (count_positions, cells)
    sizes = Shape (gain)
    groups = Expand (group, sizes)
    last = Constant <value = int64[1] {2}> ()
    group_column = Unsqueeze (groups, last)
    count = GatherND <batch_dims = 1> (count_grid, group_column)
    gain_column = Unsqueeze (gain, last)
    product = Mul (count, gain_column)
    two = Constant <value = float {2.0}> ()
    frac = Constant <value_int: int = @frac> ()
    frac_float = Cast <to = 1> (frac)
    scale = Pow (two, frac_float)
    scaled = Mul (product, scale)
    floored = Floor (scaled)
    bits = Constant <value_int: int = @bits> ()
    signed = Constant <value_int: int = @signed> ()
    magnitude_bits = Sub (bits, signed)
    magnitude_float = Cast <to = 1> (magnitude_bits)
    range = Pow (two, magnitude_float)
    one = Constant <value = float {1.0}> ()
    largest = Sub (range, one)
    saturated = Min (floored, largest)
    tokens = Div (saturated, scale)
}
"""

_GATED_RATE = """
GatedRate (rate, gain) => (y) {
    product = Mul (rate, gain)
    scale = Constant <value = float {8.0}> ()
    scaled = Mul (product, scale)
    floored = Floor (scaled)
    largest = Constant <value = float {2047.0}> ()
    saturated = Min (floored, largest)
    y = Div (saturated, scale)
}
"""

BODIES = (_TOKEN_GAIN, _TOKEN_GATE, _GATED_RATE)
