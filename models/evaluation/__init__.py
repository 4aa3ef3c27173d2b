"""Measures what stands: speed and memory against the bare libraries, and the models against the papers' benchmarks."""
