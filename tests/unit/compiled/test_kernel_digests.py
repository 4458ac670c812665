"""A kernel that was compiled with constants of another file is not loaded after that file has changed."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.compiled import jit
from pipeline.compiled.jit import digest_of
from pipeline.qc import memory
from pipeline.qc import table as rules
from pipeline.qc.control import kernel as control
from pipeline.qc.control import layout, table
from pipeline.qc.driver import compile_driver
from pipeline.records import flags
from pipeline.store.influx import outline
from pipeline.store.influx.gathering import gatherer, matcher

MAKERS: list[tuple[Callable[..., Any], list[ModuleType]]] = [
    (matcher, [outline]),
    (gatherer, [outline]),
    (control.compiled_judge, [layout, table, flags]),
    (compile_driver, [memory, rules, flags]),
]


class Asked(Exception):  # noqa: N818 - what was asked for
    """Carries a kernel that was to be compiled."""


def closure_of(cached: Callable[..., Any]) -> list[Any]:
    """Return what a kernel's closure holds: with its code and its file, what Numba's cache knows it by."""

    def ask(_signature: Any, function: Any) -> Any:
        raise Asked(function)

    maker: Any = inspect.unwrap(cached)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(maker.__globals__, "compiled", ask)
        with pytest.raises(Asked) as asked:
            maker()
    (kernel,) = asked.value.args
    return [cell.cell_contents for cell in kernel.__closure__ or ()]


@pytest.mark.parametrize(
    ("maker", "module"), [(maker, module) for maker, modules in MAKERS for module in [*modules, jit]]
)
def test_a_kernel_is_another_one_when_a_file_has_changed_that_it_takes_constants_from(
    maker: Callable[..., Any], module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = closure_of(maker), Path.read_bytes
    assert closure_of(maker) == before

    def read_changed(path: Path) -> bytes:
        return read(path) + (b"#" if path == Path(str(module.__file__)) else b"")

    monkeypatch.setattr(Path, "read_bytes", read_changed)
    assert closure_of(maker) != before


def test_a_digest_is_of_the_content_of_every_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    found = {digest_of([]), digest_of([one]), digest_of([one, two])}
    two.write_bytes(b"3")
    assert len(found | {digest_of([one, two])}) == 4
    assert all(0 < digest < 2**60 for digest in found)
