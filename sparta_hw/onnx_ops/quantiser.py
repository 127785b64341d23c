"""Body of the qonnx quantiser with ``rounding_mode = "FLOOR"``."""

__all__ = ["BODY"]

BODY = """
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
