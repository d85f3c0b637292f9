"""The lm-eval tasks of the lab: YAML files and the functions that they name."""
