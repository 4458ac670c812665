"""Instruments as pure state: what each one shows at a time, given seed and faults. No I/O here."""
