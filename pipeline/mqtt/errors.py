"""Errors of a connection, typed by what the caller does next."""

from __future__ import annotations


class LinkLostError(Exception):
    """The connection is gone or was never there: connect again after a pause."""


class PublishRefusedError(Exception):
    """The broker refuses a message or a subscription: look at its access list; do not hurry to try again."""


class PublishTooLargeError(PublishRefusedError):
    """One message is larger than the broker takes: raise its limit; other messages are not concerned."""
