"""Commands from outside: services with a bearer token, signed commands over MQTT, a watched folder."""

from gateway.remote.roles import ROLE_COMMANDS, may_command
from gateway.remote.settings import CommandsSettings
from gateway.remote.tokens import Service, ServiceTokens, ServiceTokensError

__all__ = [
    "ROLE_COMMANDS", "CommandsSettings", "Service", "ServiceTokens", "ServiceTokensError", "may_command",
]  # fmt: skip
