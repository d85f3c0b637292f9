"""Preference pairs: within a prompt (Montessori-Instruct), of questions and rationales (ARTE)."""
