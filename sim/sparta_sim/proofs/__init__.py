"""Formal proofs: contracts in Amaranth around units of the core, decided by an SMT solver."""
