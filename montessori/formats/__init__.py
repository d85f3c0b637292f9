"""How a teacher is asked to write an instruction: in tags, after a tag, in a list, as a turn."""
