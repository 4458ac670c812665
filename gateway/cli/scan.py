"""`scan`: serial ports by their stable names, and the Modbus units behind a port or address."""

from __future__ import annotations

import asyncio
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop

from config import Exit
from drivers.errors import LinkDown
from drivers.modbus.scan import REQUESTS_MAX, duration_s, scan_serial, scan_tcp
from drivers.transport import SerialParameters
from drivers.transport.line import QUARANTINE_S
from drivers.transport.ports import holder_of, list_serial_ports
from gateway.cli.common import ERR, OUT, SET_UP, JsonOption, example, fail, print_json, table
from pipeline.records import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from drivers.modbus.scan import Probed

Json = dict[str, Any]
Target = tuple[str, "SerialParameters | None", "AsyncIterator[Probed]"]
"""What is asked in words, its line settings, and the asking."""
UNITS_SERIAL, UNITS_TCP = "1-32", "1,255"
INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""


def scan(
    probe: Annotated[
        str | None, typer.Option(help="Look for Modbus units behind this serial port, or HOST or HOST:PORT.")
    ] = None,
    units: Annotated[
        str | None, typer.Option(help=f"Unit numbers; {UNITS_SERIAL} on a line, {UNITS_TCP} on a network.")
    ] = None,
    baudrates: Annotated[
        str, typer.Option(help="Rates to try, until one finds a unit.")
    ] = "9600,19200,115200",
    parity: Annotated[str, typer.Option(help="Parities to try: any of N, E, O.")] = "N",
    timeout_s: Annotated[float, typer.Option(min=0.02, max=10, help="Wait for each answer.")] = 0.3,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before probing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the serial ports by stable name; with --probe, find the units behind one. Writes to no instrument.

    Probing asks for the identification (function 43/14), then for one register (functions 3 and 4), and
    nothing else. Ends with 0 when a unit was found, 1 when none, 69 when the port or address is not there
    or held by another program.
    """
    if probe is None:
        _list_ports(as_json=as_json)
        return
    serial = probe.startswith("/")
    numbers = _numbers(
        units or (UNITS_SERIAL if serial else UNITS_TCP), low=1 if serial else 0, high=247 if serial else 255
    )
    rates = _rates(Path(probe), baudrates, parity) if serial else []
    if serial and (holder := holder_of(Path(probe))):
        fail(
            Exit.UNAVAILABLE,
            f"{probe} is in use by {holder}; a serial port serves one program: stop it first",
        )
    _announce(probe, numbers, rates, timeout_s)
    _ask_consent(yes=yes)
    _find(_targets(probe, numbers, rates, timeout_s), len(numbers), as_json=as_json)


def _ask_consent(*, yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        fail(Exit.USAGE, "nobody is there to be asked: say --yes to probe")
    if not yes and not typer.confirm("Probe now?", err=True):
        raise typer.Exit(int(Exit.USAGE))


def _find(targets: Sequence[Target], units: int, *, as_json: bool) -> None:
    found: list[Json] = []
    try:
        uvloop.run(_probe(targets, found, units))
    except LinkDown as error:
        fail(Exit.UNAVAILABLE, str(error))
    except KeyboardInterrupt:
        _show(found, as_json=as_json)
        raise typer.Exit(INTERRUPTED) from None
    _show(found, as_json=as_json)
    if not found:
        fail(Exit.FINDINGS, "no unit answered; check power, A and B, unit numbers, baud rate and parity")


def _list_ports(*, as_json: bool) -> None:
    ports = list_serial_ports()
    if as_json:
        print_json([{key: each and str(each) for key, each in port._asdict().items()} for port in ports])
        return
    if not ports:
        OUT.print("no serial port on this machine; is the adapter plugged in? (see: dmesg | tail)")
        return
    rows = table("port", "device", "by plug", "adapter")
    for port in ports:
        rows.add_row(str(port.name), str(port.device), str(port.by_path or "-"), port.about)
    OUT.print(rows)


def _numbers(text: str, *, low: int, high: int) -> list[int]:
    """Read `1-5,17`."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= first <= last <= high:
            fail(Exit.USAGE, f"'{part}' is no unit or range of units from {low} to {high}")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def _rates(port: Path, baudrates: str, parity: str) -> list[SerialParameters]:
    rates = [each.strip() for each in baudrates.split(",")]
    letters = [each for each in parity.upper() if each not in ", "]
    wrong = [each for each in rates if not each.isdecimal() or not 300 <= int(each) <= 4_000_000]
    wrong += [each for each in letters if each not in "NEO"]
    if wrong or not letters:
        fail(
            Exit.USAGE,
            f"'{', '.join(wrong) or parity}' is no baud rate or parity; write 9600,19200 and N, E, O",
        )
    return [
        SerialParameters(port, int(rate), parity=letter)  # type: ignore[arg-type] # checked above
        for rate in rates for letter in letters
    ]  # fmt: skip


def _announce(probe: str, units: Sequence[int], rates: Sequence[SerialParameters], timeout_s: float) -> None:
    many = f"{len(units)} unit{'s' if len(units) > 1 else ''}"
    settings = ", ".join(f"{each.baudrate} 8{each.parity}1" for each in rates)
    longest_s = (
        duration_s(len(units), rates, timeout_s, QUARANTINE_S) or len(units) * REQUESTS_MAX * timeout_s
    )
    ERR.print(
        f"Will ask {many} at {probe}" + (f" with {settings}" if settings else "")
        + f", up to {longest_s:.0f} s.\n"
        "Reads only: function 43/14, then one register by functions 3 and 4. Another master on the line, "
        "or a device\nthat acts on foreign bytes, may be disturbed by it.",
        markup=False,
    )  # fmt: skip


def _targets(
    probe: str, units: Sequence[int], rates: Sequence[SerialParameters], timeout_s: float
) -> list[Target]:
    clock, rng = SystemClock(), random.Random()  # noqa: S311 - jitter
    if rates:
        return [
            (f"{rate.baudrate} 8{rate.parity}1", rate, scan_serial(rate, units, timeout_s, clock, rng))
            for rate in rates
        ]
    host, _, port = probe.rpartition(":") if re.search(r":\d+$", probe) else (probe, "", "502")
    return [(probe, None, scan_tcp(host, int(port), units, timeout_s, clock, rng))]


async def _probe(targets: Sequence[Target], found: list[Json], units: int) -> None:
    """Ask, and put every unit into `found` as it answers: what is there stays when Ctrl-C comes."""
    for words, rate, probing in targets:
        damaged = 0
        with ERR.status(words) as status:
            async for probed in probing:
                status.update(f"{words}: unit {probed.unit} of {units} units")
                damaged += probed.damage is not None and not isinstance(probed.damage, LinkDown)
                if probed.found is not None:
                    found.append(_as_json(probed, rate))
                    ERR.print(f"{words}: unit {probed.unit} answers ({probed.found.by})", markup=False)
        if damaged:
            ERR.print(f"{words}: bytes that are no answer came for {damaged} of {units} units", markup=False)
        if found:
            return
        await asyncio.sleep(0)


def _as_json(probed: Probed, rate: SerialParameters | None) -> Json:
    found = probed.found
    if found is None:
        raise AssertionError("only units that were found are shown")
    return {
        "unit": found.unit,
        "baudrate": rate and rate.baudrate,
        "parity": rate and rate.parity,
        "by": found.by,
        "vendor": found.identity and found.identity.vendor,
        "model": found.identity and found.identity.model,
        "revision": found.identity and found.identity.revision,
        "answer_delay_ms": found.delay_s * 1000,
    }


def _show(found: list[Json], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        rows = table("unit", "line", "vendor", "model", "answers to", "delay")
        for each in found:
            line = f"{each['baudrate']} 8{each['parity']}1" if each["baudrate"] else "-"
            rows.add_row(
                str(each["unit"]), line, each["vendor"] or "-", each["model"] or "-", each["by"],
                f"{each['answer_delay_ms']:.1f} ms",
            )  # fmt: skip
        OUT.print(rows)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel=SET_UP,
        epilog=example(
            "scan", "scan --probe /dev/ttyUSB0 --units 1-10", "scan --probe 192.0.2.10:502 --yes --json"
        ),
    )(scan)
