"""`montessori try`: a user's own model is asked what the stages will ask of it, on eight rows."""
