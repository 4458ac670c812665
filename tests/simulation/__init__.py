"""Gateway, broker, collectors and store in virtual time, with faults drawn from a seed."""
