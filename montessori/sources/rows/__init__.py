"""Rows of dialogue from files of one's own: objects, then rows, whatever the field calls them."""
