"""`montessori score`: figures of verdict files in the formats of AlpacaEval 2 and MT-Bench."""
