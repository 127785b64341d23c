"""Bodies of token selection: TokenMLP, DynamicK, TopKTokens, GatherTokens."""

__all__ = ["BODIES"]

_TOKEN_MLP = """
TokenMLP <fracs, hidden_shift, shift, frac>
    (x0, x1, x2, hidden_weight, hidden_bias, weight, bias) => (y)
{
    two = Constant <value = double {2.0}> ()
    fracs = Constant <value_ints: ints = @fracs> ()
    fracs_double = Cast <to = 11> (fracs)
    scales = Pow (two, fracs_double)
    last = Constant <value = int64[1] {-1}> ()
    column0 = Unsqueeze (x0, last)
    column1 = Unsqueeze (x1, last)
    column2 = Unsqueeze (x2, last)
    columns = Concat <axis = -1> (column0, column1, column2)
    columns_double = Cast <to = 11> (columns)
    x = Mul (columns_double, scales)
    hidden_weight_double = Cast <to = 11> (hidden_weight)
    hidden_columns = Transpose <perm = [1, 0]> (hidden_weight_double)
    hidden_bias_double = Cast <to = 11> (hidden_bias)
    hidden_product = MatMul (x, hidden_columns)
    hidden_sum = Add (hidden_product, hidden_bias_double)
    hidden_shift = Constant <value_int: int = @hidden_shift> ()
    hidden_shift_double = Cast <to = 11> (hidden_shift)
    hidden_unit = Pow (two, hidden_shift_double)
    hidden_scaled = Div (hidden_sum, hidden_unit)
    hidden_floor = Floor (hidden_scaled)
    zero = Constant <value = double {0.0}> ()
    hidden_largest = Constant <value = double {2047.0}> ()
    hidden = Clip (hidden_floor, zero, hidden_largest)
    weight_double = Cast <to = 11> (weight)
    bias_double = Cast <to = 11> (bias)
    one_result = Constant <value = int64[2] {-1, 1}> ()
    weight_column = Reshape (weight_double, one_result)
    product = MatMul (hidden, weight_column)
    sum = Add (product, bias_double)
    shift = Constant <value_int: int = @shift> ()
    shift_double = Cast <to = 11> (shift)
    unit = Pow (two, shift_double)
    scaled = Div (sum, unit)
    floored = Floor (scaled)
    low = Constant <value = double {-2048.0}> ()
    high = Constant <value = double {2047.0}> ()
    saturated = Clip (floored, low, high)
    frac = Constant <value_int: int = @frac> ()
    frac_double = Cast <to = 11> (frac)
    scale = Pow (two, frac_double)
    y_column = Div (saturated, scale)
    y_double = Squeeze (y_column, last)
    y = Cast <to = 1> (y_double)
}
"""

_DYNAMIC_K = """
DynamicK <frac, hidden_shift, shift>
    (first, interval, rate, k, hidden_weight, hidden_bias, weight, bias, table) => (dynamic_k, chosen_k)
{
    two = Constant <value = float {2.0}> ()
    frac = Constant <value_int: int = @frac> ()
    frac_float = Cast <to = 1> (frac)
    scale = Pow (two, frac_float)
    scaled_first = Mul (first, scale)
    scaled_interval = Mul (interval, scale)
    scaled_rate = Mul (rate, scale)
    int_first = Cast <to = 7> (scaled_first)
    int_interval = Cast <to = 7> (scaled_interval)
    int_rate = Cast <to = 7> (scaled_rate)
    tokens = Shape <start = 1, end = 2> (first)
    token_axis = Constant <value = int64[1] {1}> ()
    sum_rate = ReduceSum <keepdims = 1> (int_rate, token_axis)
    mean_rate = Div (sum_rate, tokens)
    sum_interval = ReduceSum <keepdims = 1> (int_interval, token_axis)
    mean_interval = Div (sum_interval, tokens)
    squares = Mul (int_first, int_first)
    sum_squares = ReduceSum <keepdims = 1> (squares, token_axis)
    sum_first = ReduceSum <keepdims = 1> (int_first, token_axis)
    squares_weighted = Mul (tokens, sum_squares)
    square_of_sum = Mul (sum_first, sum_first)
    variance = Sub (squares_weighted, square_of_sum)
    variance_double = Cast <to = 11> (variance)
    root_double = Sqrt (variance_double)
    root = Cast <to = 7> (root_double)
    deviation = Div (root, tokens)
    real_mean_rate = Cast <to = 1> (mean_rate)
    real_deviation = Cast <to = 1> (deviation)
    real_mean_interval = Cast <to = 1> (mean_interval)
    y = sparta.TokenMLP <fracs = [0, 0, 0], hidden_shift: int = @hidden_shift, shift: int = @shift, frac = 4>
        (real_mean_rate, real_deviation, real_mean_interval, hidden_weight, hidden_bias, weight, bias)
    floored = Floor (y)
    below = Cast <to = 7> (floored)
    middle = Constant <value = int64 {128}> ()
    entry = Add (below, middle)
    dynamic_k = Gather <axis = 0> (table, entry)
    zero = Constant <value = int64 {0}> ()
    own = Equal (k, zero)
    chosen_k = Where (own, dynamic_k, k)
}
"""
"""The root of a float64 below 2^52 rounds up to no integer, so that its cast is the integer root.

The output s12.8 is taken as s12.4, whose floor is the output >> 4.
"""

_TOP_K_TOKENS = """
TopKTokens (score, k) => (index) {
    vector = Constant <value = int64[1] {-1}> ()
    most = ReduceMax <keepdims = 0> (k)
    count = Reshape (most, vector)
    largest, index = TopK <axis = 1, largest = 1, sorted = 1> (score, count)
}
"""

_GATHER_TOKENS = """
GatherTokens (tokens, index) => (selected) {
    last = Constant <value = int64[1] {2}> ()
    index_column = Unsqueeze (index, last)
    selected = GatherND <batch_dims = 1> (tokens, index_column)
}
"""

BODIES = (_TOKEN_MLP, _DYNAMIC_K, _TOP_K_TOKENS, _GATHER_TOKENS)
