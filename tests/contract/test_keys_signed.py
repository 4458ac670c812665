"""`yaosu keys`: changes that an administrator signs, that nobody signs, and what the record says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.site import load_site
from tests.support.cli_site import ADMINISTRATOR, OPERATOR, Site, site, until
from tests.support.daemon import records_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["site"]

KEY = "3b" * 32


def told(site: Site, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    records = records_of(load_site(site.config).state.journal)
    bodies = [record.body for record in records if record.kind == "event"]
    return [body for body in bodies if str(body.get("code", "")).startswith("trust-") and wanted(body)]


def test_signed_unsigned_and_refused_changes(site: Site) -> None:
    (found,) = told(site, lambda body: body["code"] == "trust-found")
    assert found["args"]["added"][ADMINISTRATOR].startswith("administrator, signatory, secrets ")
    enrolled = told(site, lambda body: body["code"] == "trust-changed")
    assert [list(body["args"]["added"]) for body in enrolled] == [[OPERATOR], ["p-0001"]]
    assert {body["actor"]["person"] for body in enrolled} == {ADMINISTRATOR}

    pinned = load_site(site.config).state.trusted_keys
    refused = site.as_person(OPERATOR, "keys", "trust", KEY, "--role", "lims", "--name", "hospital")
    assert refused.code == 1, refused.err
    assert "administrator" in refused.err
    assert not pinned.exists(), "what was refused was not written"

    done = site.as_person(ADMINISTRATOR, "keys", "trust", KEY, "--role", "lims", "--name", "hospital")
    assert done.code == 0, done.err

    def signed() -> list[dict[str, Any]]:
        return told(site, lambda body: body["args"]["file"] == "trusted-keys" and "believed" in body["args"])

    (change,) = until(signed, "the change is told")
    assert (change["code"], change["args"]["by"]) == ("trust-changed", ADMINISTRATOR)
    assert list(change["args"]["added"].values()) == ["lims hospital"]

    made = site.run("keys", "token", "hospital")
    assert made.code == 0
    assert "nobody signs this change" in made.err
    (unsigned,) = until(
        lambda: told(site, lambda body: body["code"] == "trust-changed-unsigned"), "the token is told"
    )
    assert unsigned["args"]["file"] == "service-tokens"
    assert made.out.strip() not in str(unsigned)
    text = site.run("status").out
    assert "Traceback" not in text
