"""What the settings of the rules share: the type of a limit, and checks on pairs of limits."""

from typing import Annotated

from pydantic import Field

from config.errors import SettingError

Limit = Annotated[float, Field(ge=0)]
"""A limit on a magnitude; 0 lets nothing but 0 pass."""

SECONDS_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}


def need_one(table: str, keys: tuple[str, ...], values: tuple[object, ...]) -> None:
    """Refuse a table in which all of `keys` are absent."""
    if all(value is None for value in values):
        raise SettingError(
            "E020",
            f"'{table}' has no limit",
            hint=f"give at least one of: {', '.join(keys)}, or leave the table out",
        )


def need_order(suspect: float | None, fail: float | None, *, keys: tuple[str, str], unit: str) -> None:
    """Refuse a suspect limit above the fail limit."""
    if suspect is not None and fail is not None and suspect > fail:
        raise SettingError(
            "E023",
            f"{keys[0]} = {suspect} {unit} is beyond {keys[1]} = {fail} {unit}: no reading could be suspect",
            hint=f"make {keys[0]} the smaller of the two",
            key=keys[0],
        )


def need_falling(suspect: float | None, fail: float | None, *, keys: tuple[str, str], unit: str) -> None:
    """Refuse a suspect limit below the fail limit, where less is worse."""
    if suspect is not None and fail is not None and suspect < fail:
        raise SettingError(
            "E023",
            f"{keys[0]} = {suspect} {unit} is below {keys[1]} = {fail} {unit}: no reading could be suspect",
            hint=f"make {keys[0]} the larger of the two",
            key=keys[0],
        )


def need_odd(readings: int, key: str) -> None:
    """Refuse an even number of readings: it has no middle one."""
    if readings % 2 == 0:
        raise SettingError(
            "E023",
            f"{key} = {readings} is even: there is no reading in the middle",
            hint=f"write {readings + 1}",
            key=key,
        )
