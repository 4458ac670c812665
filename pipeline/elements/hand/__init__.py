"""Readings that a person takes from an instrument without a line, and corrections of them."""
