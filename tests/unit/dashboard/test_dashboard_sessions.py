"""A login lasts no longer than the daemon stands behind it."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from dashboard.sessions import ASK_S, COOKIE, COOKIE_TLS, SESSION_S, Sessions
from dashboard.settings import WebSettings
from tests.unit.dashboard.fakes import FakeDoor


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def _logged_in(person: str, password: str) -> tuple[Sessions, FakeDoor, _Clock, Request]:
    door, clock = FakeDoor(), _Clock()
    sessions = Sessions(WebSettings(), door, clock)
    answer = await door.login(person, password)
    request = _request(f"{COOKIE}={answer['token']}")
    sessions.open(answer, request, Response())
    return sessions, door, clock, request


def _request(cookie: str, scheme: str = "http") -> Request:
    scope = {"type": "http", "scheme": scheme, "server": ("localhost", 443), "path": "/", "query_string": b""}
    return Request({**scope, "headers": [(b"cookie", cookie.encode())]})


LOGINS = pytest.mark.parametrize(
    ("person", "password", "role"),
    [("p-wang", "correct horse", "lab"), ("p-reg", "tall giraffe", "regulator")],
)


@LOGINS
async def test_a_login_that_the_daemon_has_ended_shows_nothing_half_a_minute_later(
    person: str, password: str, role: str
) -> None:
    sessions, door, clock, request = await _logged_in(person, password)
    viewer = await sessions.viewer(request)
    assert viewer.role == role
    door.tokens.clear()  # as when the person is disabled
    clock.now_s = ASK_S / 2
    assert (await sessions.viewer(request)).role == role
    clock.now_s = ASK_S
    assert not await sessions.is_open(viewer)
    assert (await sessions.viewer(request)).role == "none"


@LOGINS
async def test_a_login_outlasts_a_daemon_that_is_away_but_not_its_hours(
    person: str, password: str, role: str
) -> None:
    sessions, door, clock, request = await _logged_in(person, password)
    door.away = True
    clock.now_s = SESSION_S - 1
    assert (await sessions.viewer(request)).role == role
    clock.now_s = SESSION_S
    assert (await sessions.viewer(request)).role == "none"


async def test_somebody_who_has_become_a_regulator_only_sees_the_laboratorys_pages_no_more() -> None:
    sessions, door, _, request = await _logged_in("p-wang", "correct horse")
    token = request.cookies[COOKIE]
    door.tokens[token] = "p-reg"
    assert (await sessions.viewer(request)).role == "none"


async def test_over_tls_the_login_is_bound_to_this_host_and_no_other_cookie_counts() -> None:
    sessions, answer = Sessions(WebSettings(), None), await FakeDoor().login("p-wang", "correct horse")
    response = Response()
    sessions.open(answer, _request("", "https"), response)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-yaosu-session=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    token = answer["token"]
    assert (await sessions.viewer(_request(f"{COOKIE_TLS}={token}", "https"))).role == "lab"
    # A page without TLS, of this host or of another one of the domain, can set a cookie of the plain name.
    assert (await sessions.viewer(_request(f"{COOKIE}={token}", "https"))).role == "none"
