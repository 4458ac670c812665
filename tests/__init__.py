"""The tests. This file keeps another distribution's `tests` package from being imported in its place."""
