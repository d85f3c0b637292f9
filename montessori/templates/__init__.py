"""Prompt texts that ship with the package."""
