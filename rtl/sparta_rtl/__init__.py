"""The core in Amaranth HDL: one unit, one file, one contract."""
