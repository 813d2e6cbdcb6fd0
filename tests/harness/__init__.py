"""What the end-to-end tests, the fault tests and the benchmarks share: a site of real processes, and clients."""
