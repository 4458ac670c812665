"""A method with a QC plan on the weighing bench, and the controls that it asks for."""

from typing import Any

from pipeline.elements.registry_shapes import CertifiedValue, Material, Method, QcItem, ResultSpec
from tests.unit.elements.bench import DAY, UTC0, Bench, opened, sample, weighing

PURPOSES = ("test", "qc", "proficiency")
ALL_ELEMENTS = ("method", "measurement")


def planned(*qc: QcItem, **changes: Any) -> Method:
    """A weighing method without check weight, whose net mass is a result for controls too."""
    facts: dict[str, Any] = {
        "results": (ResultSpec("net_mass", "net-weight", "weight", PURPOSES),),  # type: ignore[arg-type]
        "check_max_age_s": None, "qc": qc,
    }  # fmt: skip
    return weighing(**{**facts, **changes})


def qc_material(lot: str = "L-1", **changes: Any) -> Material:
    facts: dict[str, Any] = {
        "kind": "qc-sample", "lot": lot, "level": "low", "expiry_ns": UTC0 + 100 * DAY,
        "certified": (CertifiedValue("net_mass", 50.0, "g", 0.002, 2.0),),
    }  # fmt: skip
    return Material(**{**facts, **changes})


def laboratory(*qc: QcItem, entries: dict[tuple[str, str], Any] | None = None, **settings: Any) -> Bench:
    return opened(
        {
            ("method", "weighing"): planned(*qc), ("material", "QC-1"): qc_material(),
            ("material", "S-2"): sample(), **(entries or {}),
        },
        **settings,
    )  # fmt: skip


def measure(bench: Bench, value: float, **args: Any) -> str:
    """Run a task whose net mass is `value`."""
    return bench.weigh(0.0, value, **args)


def control(bench: Bench, kind: str, value: float, **args: Any) -> str:
    facts: dict[str, Any] = {"purpose": "qc", "control": kind, "sample": None}
    return measure(bench, value, **{**facts, **args})


def qc_sample(bench: Bench, value: float, **args: Any) -> str:
    return measure(bench, value, **{"purpose": "qc", "sample": None, "reference": "QC-1", **args})


def close(bench: Bench, batch: str = "B-1", **args: Any) -> None:
    bench.do("batch.close", batch=batch, **args)
    bench.air(2)


def outcome(bench: Bench, task: str) -> dict[str, Any]:
    """The last outcome of a control's net mass, as recorded."""
    told = [one.body for one in bench.of_kind("control") if one.body["task"] == task]
    return next(body for body in reversed(told) if body["action"] == "judge")
