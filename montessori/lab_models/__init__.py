"""The lab's base models: documents, tokenizer, pretraining, cards (`make micro-base`)."""
