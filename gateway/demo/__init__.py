"""Everything on one laptop: simulators, broker, gateway, collector, store, pages, and a scripted day."""
