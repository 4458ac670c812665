"""MT-SICS levels 0 and 1 (Mettler Toledo Standard Interface Command Set), as a balance speaks it."""
