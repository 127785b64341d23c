"""Test benches of single units: cocotb on Verilator, each unit against its reference under seeded stalls."""
