"""Scores of verdict files in the public formats of AlpacaEval 2 and MT-Bench."""
