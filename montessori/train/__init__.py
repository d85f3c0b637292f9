"""Training of students and teachers: warm-up, SFT and DPO."""
