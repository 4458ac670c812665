"""The base that every part stands on: settings model, TOML loader with positions, error catalogue."""

from config.errors import ConfigInvalid, Finding, Report, SettingError
from config.exits import Exit
from config.loader import Check, Loaded, load_toml
from config.model import CredentialRef, CredentialUnavailableError, Settings

__all__ = [
    "Check",
    "ConfigInvalid",
    "CredentialRef",
    "CredentialUnavailableError",
    "Exit",
    "Finding",
    "Loaded",
    "Report",
    "SettingError",
    "Settings",
    "load_toml",
]
