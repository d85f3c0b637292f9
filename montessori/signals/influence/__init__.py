"""Local data influence: what one AdamW step on a row does to the loss on a reference set."""
