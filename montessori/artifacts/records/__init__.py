"""Files of records of any origin: their bytes, then objects with the line or row of each."""
