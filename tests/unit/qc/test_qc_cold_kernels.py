"""Who waits for the kernels is told when they have to be compiled."""

from numba import njit

from pipeline.qc import QcEngine
from pipeline.qc.jit import telling


def test_the_engine_tells_before_it_compiles_and_not_when_the_kernels_are_there() -> None:
    told: list[str] = []
    with telling(lambda: told.append("compiling")):
        assert njit("float64(float64)")(lambda value: value + 1.0)(2.0) == 3.0
    assert told
    QcEngine({}, {}).warm()
    told.clear()
    QcEngine({}, {}).warm(lambda: told.append("compiling"))
    assert told == []
