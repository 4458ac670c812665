"""Commands from outside: services with a bearer token, signed commands over MQTT, a watched folder."""

from gateway.remote.settings import CommandsSettings

__all__ = ["CommandsSettings"]
