"""Bodies of the ``sparta`` operators and of ``Quant`` in plain ONNX: any ONNX Runtime executes a model.

Each body states its operator once more, in operators of ONNX opset 20. docs/dialect.md has the signatures,
ARCHITECTURE.md the equations. Real numbers stay on their grids, where float32 is exact; sums that could
leave its 24 bits (SparseAttention) are int64 or float64.
"""

from onnx import FunctionProto
from onnx.parser import parse_function

from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE

__all__ = ["OPSET_VERSION", "QUANT_DOMAIN", "SPARTA_DOMAIN", "SPARTA_VERSION", "functions"]

OPSET_VERSION = 20
SPARTA_DOMAIN = "sparta"
SPARTA_VERSION = 1
QUANT_DOMAIN = "qonnx.custom_op.general"

_HILIF = """
HILIF <frac, tau_bits, reset, v_reset> (x, tau_inv, v_th) => (s) {
    two = Constant <value = float {2.0}> ()
    frac = Constant <value_int: int = @frac> ()
    frac_float = Cast <to = 1> (frac)
    scale = Pow (two, frac_float)
    channels = Constant <value = int64[3] {-1, 1, 1}> ()
    leak = Reshape (tau_inv, channels)
    threshold = Reshape (v_th, channels)
    reset = Constant <value_string: string = @reset> ()
    soft_name = Constant <value_string = "soft"> ()
    soft = Equal (reset, soft_name)
    v_reset = Constant <value_float: float = @v_reset> ()
    first = Constant <value = int64 {0}> ()
    x_first = Gather <axis = 0> (x, first)
    zero = Constant <value = float {0.0}> ()
    zeros = Mul (x_first, zero)
    v_start = Add (zeros, v_reset)
    v_end, s = Scan <num_scan_inputs = 1, body = step
    (float[] v, float[] x_t) => (float[] v_next, float[] s_t) {
        difference = Sub (x_t, v)
        charge = Mul (difference, leak)
        charge_scaled = Mul (charge, scale)
        charge_floor = Floor (charge_scaled)
        charge_grid = Div (charge_floor, scale)
        v_charged = Add (v, charge_grid)
        fires = GreaterOrEqual (v_charged, threshold)
        s_t = Cast <to = 1> (fires)
        v_soft = Sub (v_charged, threshold)
        v_after = Where (soft, v_soft, v_reset)
        v_next = Where (fires, v_after, v_charged)
    }> (v_start, x)
}
"""

_SPIKE_CUES = """
SpikeCues <frac> (s) => (first, interval, burst, rate) {
    tokens = Constant <value = int64[4] {0, 0, 0, -1}> ()
    words = Reshape (s, tokens)
    spikes = Cast <to = 7> (words)
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    time_axis = Constant <value = int64[1] {0}> ()
    channel_axis = Constant <value = int64[1] {1}> ()
    step_count = Shape <start = 0, end = 1> (s)
    steps = Squeeze (step_count)
    channel_count = Shape <start = 2, end = 3> (s)
    channels = Squeeze (channel_count)
    frac = Constant <value_int: int = @frac> ()
    two = Constant <value = int64 {2}> ()
    scale = Pow (two, frac)
    count = ReduceSum <keepdims = 0> (spikes, time_axis)
    silent = Equal (count, zero)
    step_first = ArgMax <axis = 0, keepdims = 0, select_last_index = 0> (words)
    step_last = ArgMax <axis = 0, keepdims = 0, select_last_index = 1> (words)
    lead = Where (silent, steps, step_first)
    span_active = Sub (step_last, step_first)
    span = Where (silent, zero, span_active)
    count_less = Sub (count, one)
    gaps = Max (count_less, zero)
    step_0 = Constant <value = int64[1] {0}> ()
    step_1 = Constant <value = int64[1] {1}> ()
    before_last = Constant <value = int64[1] {-1}> ()
    later = Slice (spikes, step_1, step_count, time_axis)
    earlier = Slice (spikes, step_0, before_last, time_axis)
    pairs = Mul (later, earlier)
    bursts = ReduceSum <keepdims = 0> (pairs, time_axis)
    sum_first = ReduceSum <keepdims = 0> (lead, channel_axis)
    sum_rate = ReduceSum <keepdims = 0> (count, channel_axis)
    sum_burst = ReduceSum <keepdims = 0> (bursts, channel_axis)
    sum_span = ReduceSum <keepdims = 0> (span, channel_axis)
    sum_gaps = ReduceSum <keepdims = 0> (gaps, channel_axis)
    scaled_first = Mul (sum_first, scale)
    scaled_rate = Mul (sum_rate, scale)
    scaled_burst = Mul (sum_burst, scale)
    scaled_span = Mul (sum_span, scale)
    int_first = Div (scaled_first, channels)
    int_rate = Div (scaled_rate, channels)
    int_burst = Div (scaled_burst, channels)
    divisor = Max (sum_gaps, one)
    mean_interval = Div (scaled_span, divisor)
    no_gap = Equal (sum_gaps, zero)
    longest = Mul (steps, scale)
    int_interval = Where (no_gap, longest, mean_interval)
    scale_float = Cast <to = 1> (scale)
    float_first = Cast <to = 1> (int_first)
    float_interval = Cast <to = 1> (int_interval)
    float_burst = Cast <to = 1> (int_burst)
    float_rate = Cast <to = 1> (int_rate)
    first = Div (float_first, scale_float)
    interval = Div (float_interval, scale_float)
    burst = Div (float_burst, scale_float)
    rate = Div (float_rate, scale_float)
}
"""

_TOKEN_SCORE = """
TokenScore <frac>
    (first, interval, burst, rate, table_first, table_interval, table_burst, table_rate) => (score)
{
    two = Constant <value = float {2.0}> ()
    frac = Constant <value_int: int = @frac> ()
    frac_float = Cast <to = 1> (frac)
    scale = Pow (two, frac_float)
    scaled_first = Mul (first, scale)
    scaled_interval = Mul (interval, scale)
    scaled_burst = Mul (burst, scale)
    scaled_rate = Mul (rate, scale)
    index_first = Cast <to = 7> (scaled_first)
    index_interval = Cast <to = 7> (scaled_interval)
    index_burst = Cast <to = 7> (scaled_burst)
    index_rate = Cast <to = 7> (scaled_rate)
    score_first = Gather <axis = 0> (table_first, index_first)
    score_interval = Gather <axis = 0> (table_interval, index_interval)
    score_burst = Gather <axis = 0> (table_burst, index_burst)
    score_rate = Gather <axis = 0> (table_rate, index_rate)
    score = Sum (score_first, score_interval, score_burst, score_rate)
}
"""

_TOP_K_TOKENS = """
TopKTokens (score, k) => (index) {
    largest, index = TopK <axis = 1, largest = 1, sorted = 1> (score, k)
}
"""

_TOKEN_GATE = """
TokenGate <frac, bits> (s, index, alpha, beta) => (tokens) {
    axis = Constant <value = int64[1] {0}> ()
    count_image = ReduceSum <keepdims = 0> (s, axis)
    flat = Constant <value = int64[3] {0, 0, -1}> ()
    count_features = Reshape (count_image, flat)
    count = Transpose <perm = [0, 2, 1]> (count_features)
    sizes = Shape <start = 0, end = 2> (count)
    betas = Expand (beta, sizes)
    index_sizes = Shape (index)
    alphas = Expand (alpha, index_sizes)
    gain = ScatterElements <axis = 1> (betas, index, alphas)
    features = Constant <value = int64[1] {2}> ()
    gain_token = Unsqueeze (gain, features)
    scaled = Mul (count, gain_token)
    two = Constant <value = float {2.0}> ()
    frac = Constant <value_int: int = @frac> ()
    frac_float = Cast <to = 1> (frac)
    scale = Pow (two, frac_float)
    on_grid = Mul (scaled, scale)
    floored = Floor (on_grid)
    bits = Constant <value_int: int = @bits> ()
    bits_float = Cast <to = 1> (bits)
    range = Pow (two, bits_float)
    one = Constant <value = float {1.0}> ()
    largest = Sub (range, one)
    saturated = Min (floored, largest)
    tokens = Div (saturated, scale)
}
"""

_GATHER_TOKENS = """
GatherTokens (tokens, index) => (selected) {
    last = Constant <value = int64[1] {2}> ()
    index_column = Unsqueeze (index, last)
    selected = GatherND <batch_dims = 1> (tokens, index_column)
}
"""

_SPARSE_ATTENTION = """
SparseAttention <frac_query, frac_key, frac_value, score_frac>
    (query, key, value, score, index) => (attention)
{
    two = Constant <value = double {2.0}> ()
    frac_value = Constant <value_int: int = @frac_value> ()
    frac_value_double = Cast <to = 11> (frac_value)
    value_scale = Pow (two, frac_value_double)
    score_frac = Constant <value_int: int = @score_frac> ()
    score_frac_double = Cast <to = 11> (score_frac)
    score_scale = Pow (two, score_frac_double)
    query_double = Cast <to = 11> (query)
    key_double = Cast <to = 11> (key)
    value_double = Cast <to = 11> (value)
    values = Mul (value_double, value_scale)
    key_columns = Transpose <perm = [0, 2, 1]> (key_double)
    dot = MatMul (query_double, key_columns)
    dot_scaled = Mul (dot, score_scale)
    dot_floor = Floor (dot_scaled)
    mask_real = GatherElements <axis = 1> (score, index)
    mask_double = Cast <to = 11> (mask_real)
    mask_scaled = Mul (mask_double, score_scale)
    rows = Constant <value = int64[1] {1}> ()
    mask = Unsqueeze (mask_scaled, rows)
    masked = Add (dot_floor, mask)
    low = Constant <value = double {-2048.0}> ()
    high = Constant <value = double {2047.0}> ()
    z = Clip (masked, low, high)
    last = Constant <value = int64[1] {2}> ()
    largest = ReduceMax <keepdims = 1> (z, last)
    distance_double = Sub (largest, z)
    distance = Cast <to = 7> (distance_double)
    sixteen = Constant <value = int64 {16}> ()
    shift_far = Div (distance, sixteen)
    fraction = Mod (distance, sixteen)
    farthest = Constant <value = int64 {15}> ()
    shift = Min (shift_far, farthest)
    exp_table = Constant <value = int64[16] {EXP_TABLE}> ()
    exp = Gather <axis = 0> (exp_table, fraction)
    powers = Constant <value = int64[31] {POWERS}> ()
    divisor = Gather <axis = 0> (powers, shift)
    p = Div (exp, divisor)
    total = ReduceSum <keepdims = 1> (p, last)
    p_double = Cast <to = 11> (p)
    weighted = MatMul (p_double, values)
    total_column = Unsqueeze (total, last)
    reaches = GreaterOrEqual (total_column, powers)
    reaches_int = Cast <to = 7> (reaches)
    table_axis = Constant <value = int64[1] {3}> ()
    reached = ReduceSum <keepdims = 0> (reaches_int, table_axis)
    one = Constant <value = int64 {1}> ()
    exponent = Sub (reached, one)
    magnitude = Gather <axis = 0> (powers, exponent)
    mantissa_unit = Constant <value = int64 {128}> ()
    total_scaled = Mul (total, mantissa_unit)
    mantissa = Div (total_scaled, magnitude)
    reciprocal_index = Sub (mantissa, mantissa_unit)
    reciprocal_table = Constant <value = int64[128] {RECIPROCAL_TABLE}> ()
    reciprocal = Gather <axis = 0> (reciprocal_table, reciprocal_index)
    reciprocal_double = Cast <to = 11> (reciprocal)
    product = Mul (weighted, reciprocal_double)
    magnitude_double = Cast <to = 11> (magnitude)
    unit = Constant <value = double {256.0}> ()
    denominator = Mul (magnitude_double, unit)
    quotient = Div (product, denominator)
    quotient_floor = Floor (quotient)
    smallest_value = Constant <value = double {-128.0}> ()
    largest_value = Constant <value = double {127.0}> ()
    saturated = Clip (quotient_floor, smallest_value, largest_value)
    result = Div (saturated, value_scale)
    attention = Cast <to = 1> (result)
}
"""

_QUANT = """
Quant <signed, narrow, rounding_mode> (x, scale, zero_point, bits) => (y) {
    one = Constant <value = float {1.0}> ()
    two = Constant <value = float {2.0}> ()
    signed = Constant <value_int: int = @signed> ()
    narrow = Constant <value_int: int = @narrow> ()
    signed_float = Cast <to = 1> (signed)
    narrow_float = Cast <to = 1> (narrow)
    magnitude_bits = Sub (bits, signed_float)
    magnitude = Pow (two, magnitude_bits)
    unsigned = Sub (one, signed_float)
    narrowed = Mul (unsigned, narrow_float)
    largest_wide = Sub (magnitude, one)
    largest = Sub (largest_wide, narrowed)
    magnitude_negative = Neg (magnitude)
    smallest_signed = Add (magnitude_negative, narrow_float)
    smallest = Mul (smallest_signed, signed_float)
    on_grid = Div (x, scale)
    shifted = Add (on_grid, zero_point)
    floored = Floor (shifted)
    not_above = Min (floored, largest)
    saturated = Max (not_above, smallest)
    unshifted = Sub (saturated, zero_point)
    y = Mul (unshifted, scale)
}
"""

_CONSTANTS = {
    "{EXP_TABLE}": EXP_TABLE,
    "{RECIPROCAL_TABLE}": RECIPROCAL_TABLE,
    "{POWERS}": tuple(1 << n for n in range(31)),
}
"""Tables of SparseAttention; the powers of two stand for shifts and for ``floor(log2 S)``."""


def functions() -> list[FunctionProto]:
    """Function bodies of every operator of the dialect, to be appended to ``ModelProto.functions``."""
    bodies = (
        (SPARTA_DOMAIN, _HILIF),
        (SPARTA_DOMAIN, _SPIKE_CUES),
        (SPARTA_DOMAIN, _TOKEN_SCORE),
        (SPARTA_DOMAIN, _TOP_K_TOKENS),
        (SPARTA_DOMAIN, _TOKEN_GATE),
        (SPARTA_DOMAIN, _GATHER_TOKENS),
        (SPARTA_DOMAIN, _SPARSE_ATTENTION),
        (QUANT_DOMAIN, _QUANT),
    )
    return [_parse(domain, body) for domain, body in bodies]


def _parse(domain: str, body: str) -> FunctionProto:
    for name, values in _CONSTANTS.items():
        body = body.replace(name, "{" + ", ".join(map(str, values)) + "}")
    return parse_function(f'<opset_import: ["" : {OPSET_VERSION}], domain: "{domain}">{body}')
