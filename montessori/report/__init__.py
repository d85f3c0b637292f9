"""The report: one self-contained HTML page of runs, rounds, data and costs."""
