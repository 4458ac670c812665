"""Days with and without something that a detector tells of."""

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.elements.detectors.evidence import PREFIX
from tests.unit.elements.bench import (
    SIGNER,
    UTC0,
    Bench,
    opened,
    sample,
)


def evidence(bench: Bench, code: str = "") -> list[dict[str, Any]]:
    """Evidence so far, of one code or of all, as (code, arguments)."""
    return [
        record.body for record in bench.of_kind("event") if str(record.body["code"]).startswith(PREFIX + code)
    ]


def noise(seed: int, count: int = 400) -> list[float]:
    return list(np.round(np.random.default_rng(seed).normal(50.0, 0.01, count), 4))


def measured(bench: Bench, values: list[float], **args: Any) -> str:
    task = bench.start(**args)
    bench.air(1)
    for start in range(0, len(values), 20):
        bench.advance(2)
        bench.weight(*values[start : start + 20])
        bench.air(1)
    bench.finish(task)
    return task


def released(bench: Bench, task: str, reason: str = "seen and sound", **changes: Any) -> None:
    shown = bench.view(task)
    signer = replace(bench.someone(SIGNER), signed_at_ns=UTC0 + bench.now, **changes)
    bench.do("hold.release", signer, task=task, reason=reason, signed_hash=shown["to_sign"])


def checked(**entries: Any) -> Bench:
    """Give a bench whose check weight has passed, so that a weighing is clear."""
    bench = opened({("material", "S-2"): sample(), **entries.pop("entries", {})}, **entries)
    bench.check_passes()
    return bench
