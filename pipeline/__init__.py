"""The data path from a block to a stored record, free of instruments."""
