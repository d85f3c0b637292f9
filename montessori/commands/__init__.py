"""Commands of `montessori` that are more than a call: each returns text or changes params.yaml."""
