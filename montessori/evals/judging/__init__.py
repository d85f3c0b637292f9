"""Judges of answers: who is asked what, how a verdict is read, which facts are kept."""
