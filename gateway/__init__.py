"""The composition root: site model, command line, daemon, collector and demo."""
