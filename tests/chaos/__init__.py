"""Real processes, killed where it hurts, around real servers behind a hostile network."""
