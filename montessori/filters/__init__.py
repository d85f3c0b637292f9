"""Which rows are kept: form, duplicates, ROUGE-L near-duplicates, decontamination."""
