"""ARTE (arXiv 2406.19227): a teacher is aligned with what a student learns from in context."""
