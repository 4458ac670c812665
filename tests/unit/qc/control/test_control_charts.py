"""Charts as objects: frozen, versioned, approved by a person, and the same after a trip through msgpack."""

import dataclasses
import math

import msgpack
import pytest

from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.qc.control import Chart, ChartError, ChartId, assign, in_force, propose
from pipeline.qc.control.charts import Certified
from pipeline.qc.control.estimate import EstimateRefused

ABOUT = ChartId("cadmium by ICP-MS", "rice flour", "2")
VALUES = [10.0, 10.2, 9.8, 10.1, math.nan, 9.9, 10.0]
CERTIFIED = Certified(10.05, 0.3, 2.0, expires_utc_ns=10**18)


def proposal(**changes: object) -> Chart:
    arguments: dict[str, object] = {
        "period_utc_ns": (1, 2), "proposed_by": "p1", "reason": "first lot", "n_min": 6,
        "certified": CERTIFIED,
    }  # fmt: skip
    return propose(ABOUT, "lot-1", "µg/kg", VALUES, "classical", **(arguments | changes))  # type: ignore[arg-type]


def test_a_proposal_holds_its_estimate_and_where_it_comes_from() -> None:
    chart = proposal()
    assert (chart.version, chart.status, chart.basis) == (1, "proposed", "classical")
    assert chart.centre == pytest.approx(10.0)
    assert chart.sd == pytest.approx(math.sqrt(0.02))
    assert chart.training is not None
    assert (chart.training.n, chart.training.missing) == (6, 1)


def test_a_version_never_changes() -> None:
    chart = proposal()
    approved = chart.approve("p2", 5, "stable")
    assert (chart.status, approved.status) == ("proposed", "approved")
    with pytest.raises(dataclasses.FrozenInstanceError):
        chart.centre = 1.0  # type: ignore[misc]
    with pytest.raises(ChartError, match="already"):
        approved.approve("p3", 6, "again")


@pytest.mark.parametrize(("person", "reason"), [("", "stable"), ("p2", " ")])
def test_an_approval_needs_a_person_and_a_reason(person: str, reason: str) -> None:
    with pytest.raises(ChartError, match="names a person"):
        proposal().approve(person, 5, reason)


def test_a_new_lot_or_centre_line_is_a_new_version_that_waits_for_approval() -> None:
    first = proposal().approve("p2", 5, "stable")
    second = assign(ABOUT, "lot-2", "µg/kg", 11, 0.2, proposed_by="p1", reason="new lot", previous=first)
    assert (second.version, second.status, second.training) == (2, "proposed", None)
    assert in_force([first, second], "lot-2", 100) is None
    approved = second.approve("p2", 50, "compared with lot-1")
    assert in_force([first, approved], "lot-2", 49) is None
    assert in_force([first, approved], "lot-2", 50) == approved
    assert in_force([first, approved], "lot-1", 100) == first


def test_the_newest_approved_version_is_in_force() -> None:
    first = proposal().approve("p2", 5, "stable")
    second = proposal(previous=first).approve("p2", 7, "yearly")
    third = proposal(previous=second)
    assert [in_force([third, second, first], "lot-1", at) for at in (4, 5, 6, 7)] == [
        None,
        first,
        first,
        second,
    ]


def test_a_version_follows_one_of_its_own_id() -> None:
    other = ChartId("lead", "rice flour", "2")
    with pytest.raises(ChartError, match="does not follow"):
        assign(other, "lot-1", "µg/kg", 1, 1, proposed_by="p1", reason="r", previous=proposal())


@pytest.mark.parametrize(
    "chart",
    [
        proposal(),
        proposal(certified=None).approve("p2", 5, "stable"),
        assign(ABOUT, "l", "%", 1, 2, proposed_by="p1", reason="insert"),
    ],
)
def test_a_chart_survives_msgpack(chart: Chart) -> None:
    body = msgpack.unpackb(msgpack.packb(to_body(chart)))
    assert from_body(Chart, body) == chart
    assert from_body(Chart, {**body, "of a later release": 1}) == chart


@pytest.mark.parametrize(
    "damage", [{"id": None}, {"training": {}}, {"id": {"quantity": "a"}}, {"version": "x"}]
)
def test_a_body_that_is_no_chart_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(MalformedBody):
        from_body(Chart, {**to_body(proposal()), **damage})
    with pytest.raises(MalformedBody, match="missing"):
        from_body(Chart, {})


@pytest.mark.parametrize(("centre", "sd"), [(math.nan, 1), (1, 0), (1, -1), (1, math.inf), (math.inf, 1)])
def test_no_chart_without_a_centre_line_and_a_spread(centre: float, sd: float) -> None:
    with pytest.raises(ChartError, match="finite centre line"):
        assign(ABOUT, "l", "u", centre, sd, proposed_by="p1", reason="r")


def test_no_chart_without_names() -> None:
    with pytest.raises(ChartError, match="names its"):
        assign(ABOUT, "", "u", 1, 1, proposed_by="p1", reason="r")
    with pytest.raises(ChartError, match="no basis"):
        dataclasses.replace(proposal(), basis="guess")  # type: ignore[arg-type]
    with pytest.raises(ChartError, match="training"):
        dataclasses.replace(proposal(), training=None)
    with pytest.raises(ChartError, match="before it begins"):
        proposal(period_utc_ns=(2, 1))
    with pytest.raises(EstimateRefused, match="20 are needed"):
        proposal(n_min=20)
    with pytest.raises(ChartError, match="certified"):
        Certified(1.0, -1.0, 2.0)


def test_limits_come_from_the_chart() -> None:
    chart = assign(ABOUT, "l", "u", 50, 2.0539, proposed_by="p1", reason="r")
    assert chart.lines().high_3 == 56.1617
    assert chart.ewma_limits(0.3, 3.0) == pytest.approx((47.4115, 52.5884), abs=1e-4)
    assert chart.ewma_limits(0.3, 3.0, 1) == pytest.approx((50 - 0.9 * 2.0539, 50 + 0.9 * 2.0539))
    assert chart.cusum_limits(0.5, 4.0) == pytest.approx((1.02695, 8.2156))
