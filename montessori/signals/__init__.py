"""Student signals besides influence; each gives a scores table."""
