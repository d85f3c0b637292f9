"""Judges of answers to the open benchmarks: the lab's checker and judge models."""
