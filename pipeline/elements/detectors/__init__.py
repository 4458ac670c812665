"""Detectors: patterns in the record that a person should look at. They give evidence and accuse nobody.

Each belongs to one case of the rules on inaccurate and false reports, see `cases.toml` and docs/detectors.md.
The part of the fold is `part.detect`; rows reach it through `rows.observe_prints`.
"""
