"""Public benchmarks through lm-eval, on a model of the pipeline, from local files."""
