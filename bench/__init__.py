"""Benchmarks: this service against what people would use instead. `make bench` runs them."""
