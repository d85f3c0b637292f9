"""Measurements of speed and of what it is bought with, as commands."""
