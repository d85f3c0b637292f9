"""How a stage runs: its command line, parts that survive a kill, workers, times, lists of code."""
