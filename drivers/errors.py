"""Errors of drivers, typed by what the caller does next.

`Retryable`: ask again at a later deadline. `LinkDown`: connect again first. `Fatal`: a person must change the
configuration; asking again is useless. Each names the instrument and the endpoint, and says in `hint` what an
operator can do.
"""

from __future__ import annotations

from pipeline.records import Status


class DriverError(Exception):
    """Something that an instrument, its line or its settings did."""

    status: int = Status.NO_ANSWER
    """`Status` code of the values that are missing because of it."""

    def __init__(self, message: str, *, instrument: str = "", endpoint: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.instrument = instrument
        self.endpoint = endpoint
        self.hint = hint

    def __str__(self) -> str:
        where = " at ".join(part for part in (self.instrument, self.endpoint) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text


class Retryable(DriverError):  # noqa: N818 - named by the caller's next move
    """The exchange failed; the next one may succeed."""


class NoAnswer(Retryable):
    """Nothing came before the time-out."""


class BadFrame(Retryable):
    """Bytes came that are no whole, undamaged frame; `raw` keeps them where that is worth it."""

    status = Status.BAD_FRAME

    def __init__(
        self, message: str, *, raw: bytes = b"", instrument: str = "", endpoint: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, instrument=instrument, endpoint=endpoint, hint=hint)
        self.raw = raw


class WrongAnswer(Retryable):
    """An undamaged frame came that does not answer the request: other unit, function or length."""

    status = Status.WRONG_ANSWER


class DeviceException(Retryable):
    """The device refused in its protocol's own words.

    Args:
        code: the exception code of the answer, 0 to 255.
        meaning: the standard's words for it.
    """

    def __init__(
        self, code: int, meaning: str, *, instrument: str = "", endpoint: str = "", hint: str = ""
    ) -> None:
        super().__init__(f"exception {code} ({meaning})", instrument=instrument, endpoint=endpoint, hint=hint)
        self.code = code
        self.meaning = meaning
        # A status is one byte; codes above 191 do not occur in any standard.
        self.status = min(Status.MODBUS_EXCEPTION + code, 255)


class LineBusy(Retryable):
    """Another instrument of the line, or noise on it, kept this one from sending in time."""

    status = Status.BUSY


class LinkDown(DriverError):  # noqa: N818 - named by the caller's next move
    """There is no connection: refused, reset, unplugged."""

    status = Status.DISCONNECTED


class Fatal(DriverError):  # noqa: N818 - named by the caller's next move
    """The settings cannot work; start again after changing them."""
