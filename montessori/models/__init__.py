"""A model folder: how it is made and checked, its weights, adapters, chat template and ancestry."""
