"""Who is believed: pinned keys, witnesses, tokens and persons, each in a file that a person changes."""

from gateway.trust.keys import SERVICE_NAME, KeyRole, Pinned, TrustedKeys, TrustedKeysError
from gateway.trust.roles import ROLE_COMMANDS, may_command
from gateway.trust.tokens import PREFIX, Service, ServiceTokens, ServiceTokensError
from gateway.trust.watched import sha256_of
from gateway.trust.witnesses import TrustedWitnesses

__all__ = [
    "PREFIX", "ROLE_COMMANDS", "SERVICE_NAME", "KeyRole", "Pinned", "Service", "ServiceTokens",
    "ServiceTokensError", "TrustedKeys", "TrustedKeysError", "TrustedWitnesses", "may_command", "sha256_of",
]  # fmt: skip
