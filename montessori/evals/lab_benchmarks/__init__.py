"""How the four benchmarks of the lab are asked and scored."""
