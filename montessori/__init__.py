"""Montessori: data-centric, artifact-versioned distillation tuned to the student's preferences."""

__version__ = "0.1.0"
