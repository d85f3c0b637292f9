"""In-context scoring: what one demonstration does to a student's answers."""
