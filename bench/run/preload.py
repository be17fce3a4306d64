"""What every cell needs, imported once by the process that cells are forked from."""

from __future__ import annotations

import contextlib

import scipy.io
import torch.fx.experimental.symbolic_shapes

import waldbench.bench.cost.summary
import waldbench.bench.run.cell
import waldbench.bench.run.evaluation
import waldbench.datasets.scene
from waldbench import datasets, methods, metrics
from waldbench.bench import environment, plugins

__all__ = ["datasets", "methods", "scipy", "torch", "waldbench"]

for package in plugins.PACKAGES:
    package.catalogue.names()
for entry in metrics.catalogue:
    # A broken index is the failed row of the cells that use it, not the end of the process.
    with contextlib.suppress(Exception):
        entry.load()
environment.commit()
environment.processor()
