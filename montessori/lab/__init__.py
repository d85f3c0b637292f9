"""The embedded lab: a small world of verifiable school tasks."""
