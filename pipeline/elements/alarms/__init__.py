"""Alarms: a state machine over the events of the record, from raised to closed."""
