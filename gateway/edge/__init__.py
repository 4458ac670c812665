"""The edge daemon: instruments to journal, elements, door, publisher."""
