"""What each run has cost, so that methods can be compared at equal rows, tokens or compute."""
