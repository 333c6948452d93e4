"""Measures plotman beside its peers; see benchmarks/README.md."""

import os

# plotman runs from the checkout here: its modules are to be compiled once, as pip compiles those of a peer.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
