"""Measures plotman beside its peers; see benchmarks/README.md."""
