"""A run's answers beside those of another run, as a page to look at."""
