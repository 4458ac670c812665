"""Who may set a point, when, and for how long a prepared write waits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.modbus.write_point import WritePoint
from gateway.door.app import CommandRefusedError
from gateway.edge.open_writes import OpenWrites
from gateway.edge.writes import EXPIRES_S, PREPARED_MAX, Writes

SECOND = 1_000_000_000


class Writer:
    """An instrument that takes what is written."""

    def __init__(self, point: WritePoint) -> None:
        self._point = point
        self.holds = point.encode(20)
        self.written: list[bytes] = []

    def point(self, name: str) -> WritePoint | None:
        return self._point if name == self._point.name else None

    async def read(self, _point: WritePoint) -> bytes:
        return self.holds

    async def write(self, _point: WritePoint, data: bytes) -> tuple[bytes, None]:
        self.written.append(data)
        self.holds = data
        return data, None


class Bench:
    """The two commands over an instrument in memory."""

    def __init__(self, **point: object) -> None:
        made = {"name": "setpoint", "address": 1, "low": 0, "high": 100, "confirm": {"en": "?", "zh": "？"}}
        self.writer = Writer(WritePoint.model_validate({**made, **point}))
        self.now_ns = SECOND
        self.appended: list[dict[str, Any]] = []
        self.tasks: dict[str, Any] = {}
        people = {
            "p-1": SimpleNamespace(roles=("administrator",), disabled=False),
            "p-2": SimpleNamespace(roles=("administrator",), disabled=False),
            "p-3": SimpleNamespace(roles=("operator",), disabled=False),
            "p-4": SimpleNamespace(roles=("administrator",), disabled=True),
        }
        recorder = SimpleNamespace(
            append=self._append,
            journal=SimpleNamespace(
                clock=SimpleNamespace(run_ns=lambda: self.now_ns), wait_durable=self._wait_durable
            ),
            elements=SimpleNamespace(fold=SimpleNamespace(state=SimpleNamespace(tasks=self.tasks))),
        )
        self.writes = Writes(
            cast("Any", recorder), cast("Any", SimpleNamespace(find=people.get)),
            cast("Any", {"oven-1": self.writer}), OpenWrites(),
        )  # fmt: skip

    def _append(self, _kind: str, body: dict[str, Any], **_: object) -> SimpleNamespace:
        self.appended.append(body)
        return SimpleNamespace(seq=len(self.appended) - 1, kind="event", body=body)

    async def _wait_durable(self, seq: int) -> None:
        assert self.appended[seq]["code"] == "write-confirmed"
        assert not self.writer.written  # nothing goes out before its confirmation is on the disk

    async def prepare(self, person: str = "p-1", how: str = "pin", value: float = 50) -> str:
        args = {"instrument": "oven-1", "point": "setpoint", "value": value, "reason": "why"}
        answer = await self.writes.prepare(args, {"person": person, "how": how})
        token: str = answer["result"]["write"]
        return token

    async def confirm(self, token: str, person: str = "p-1", value: float = 50) -> None:
        args = {"write": token, "value": value, "reason": "why"}
        await self.writes.confirm(args, {"person": person, "how": "pin"})

    @property
    def codes(self) -> list[str]:
        return [body["code"] for body in self.appended]


async def refused(what: Any) -> str:
    with pytest.raises(CommandRefusedError) as error:
        await what
    assert error.value.en != error.value.zh
    return error.value.code


@pytest.mark.parametrize(("person", "how"), [
    ("p-3", "pin"), ("p-4", "pin"), ("p-9", "pin"), ("p-1", "asserted"), ("p-1", "service"),
])  # fmt: skip
async def test_only_authenticated_people_of_a_named_role_may_set_it(person: str, how: str) -> None:
    bench = Bench()
    assert await refused(bench.prepare(person, how)) == "not-authorised"
    assert bench.appended == []


async def test_a_running_task_on_the_instrument_forbids_it_unless_its_method_is_named() -> None:
    bench, allowed = Bench(), Bench(in_methods=["m-drying"])
    task = SimpleNamespace(
        id="t-1", phase="running", channels=[SimpleNamespace(instrument="oven-1")],
        start=SimpleNamespace(method="m-drying"),
    )  # fmt: skip
    token = await bench.prepare()
    bench.tasks["t-1"] = allowed.tasks["t-1"] = task
    # Begun between the two steps: the confirmation is refused as well.
    assert await refused(bench.confirm(token)) == "task-running"
    assert await refused(bench.prepare()) == "task-running"
    assert bench.writer.written == []
    await allowed.confirm(await allowed.prepare())
    assert allowed.codes == ["write-prepared", "write-confirmed", "write-done"]
    task.phase = "stopped"
    await bench.confirm(await bench.prepare())
    assert len(bench.writer.written) == 1


async def test_a_prepared_write_expires_and_is_confirmed_once() -> None:
    bench = Bench()
    late = await bench.prepare()
    bench.now_ns += (EXPIRES_S + 1) * SECOND
    assert await refused(bench.confirm(late)) == "not-prepared"
    token = await bench.prepare()
    await bench.confirm(token)
    assert await refused(bench.confirm(token)) == "not-prepared"
    assert len(bench.writer.written) == 1


async def test_a_second_person_confirms_where_that_is_asked() -> None:
    bench = Bench(second_person=True)
    token = await bench.prepare()
    assert await refused(bench.confirm(token)) == "same-person"
    await bench.confirm(token, "p-2")
    assert bench.codes[-1] == "write-done"


async def test_of_many_prepared_writes_the_oldest_is_forgotten() -> None:
    bench = Bench()
    first = await bench.prepare()
    for _ in range(PREPARED_MAX):
        await bench.prepare()
    assert await refused(bench.confirm(first)) == "not-prepared"


@pytest.mark.parametrize("point", [
    {"type": "bool"}, {"table": "coil"}, {"table": "coil", "type": "bool", "high": 5},
    {"low": 5, "high": 1}, {"scale": 0.0}, {"type": "float32", "function": "single"},
    {"type": "float64", "address": 65534}, {"table": "input"}, {"roles": []},
])  # fmt: skip
def test_points_that_cannot_be_are_refused(point: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Bench(**point)
