"""Days whose operational risk is looked at."""

from typing import Any

from pipeline.elements.risk.settings import RiskSettings
from tests.unit.elements.bench import (
    HOUR,
    RUN0,
    UTC0,
    Bench,
    opened,
)


def gap(bench: Bench, hours: float, *, ended: bool = True, cause: str = "disconnected") -> None:
    """Tell a gap of bal-1 that begins now and ends, or has come to, so many hours later."""
    length = round(hours * HOUR)
    bench.now += length
    bench.append("gap", {
        "instrument": "bal-1", "polls": 5, "cause": cause, "ended": ended,
        "from_run_ns": RUN0 + bench.now - length, "to_run_ns": RUN0 + bench.now,
        "from_utc_ns": UTC0 + bench.now - length, "to_utc_ns": UTC0 + bench.now,
    })  # fmt: skip


def explained(bench: Bench, subject: str) -> dict[str, Any]:
    """Show what the index of a subject consists of: nothing for one that was never heard of."""
    try:
        shown: dict[str, Any] = bench.shown("risk", subject)
    except KeyError:
        return {"index": 0.0, "contributions": []}
    return shown


def clean(tasks: int = 0, **settings: Any) -> Bench:
    bench = opened(risk=RiskSettings(**settings))
    bench.check_passes()
    for number in range(tasks):
        bench.weigh(item=f"i-{number}")
    return bench
