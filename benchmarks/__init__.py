"""Measures plotman beside its peers; see benchmarks/README.md."""

import os

# plotman runs from the checkout here: its modules are to be compiled once, as pip compiles a peer's.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
