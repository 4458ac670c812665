"""What happens to the journal when power or process goes away."""
