"""Datasets made from datasets: selected, joined, trimmed, or the rows a student gets wrong."""
