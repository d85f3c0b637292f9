"""How a teacher writes data: examples, waves, filters, collapse checks, probes and datasets."""
