"""Prompt texts that ship with the package, and the check of chat templates."""
