"""Evidence: the records of one task in one file that anybody can check without trusting the laboratory."""
