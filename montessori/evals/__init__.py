"""Evaluation: answers, verdicts, the four benchmarks, and the statistics over items and seeds."""
