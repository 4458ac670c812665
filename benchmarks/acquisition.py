"""A hundred thousand tags a second, and what the driver costs. `python -m benchmarks.acquisition [--json]`.

The driver's requests beside pymodbus' client, its decode, a serial line, dead neighbours; latency to a
subscriber; other gateways under the same load (`benchmarks.acquisition_peers`); the whole path at full rate,
60 s of warm-up and 120 s that count, and then at higher or lower rates until it is known how far it holds.
Some 12 minutes in all on two cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from benchmarks import wire
from benchmarks.acquisition_peers import add_arguments, measure_peers
from benchmarks.load_site import CHANNELS
from benchmarks.machine import describe_machine
from benchmarks.neighbours import neighbours
from benchmarks.path import Load, WholePath
from benchmarks.results import section_text, show
from benchmarks.servers import build_load

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = 200
"""Devices of 500 float32 values, each read once a second."""
STEP = 40
"""Devices by which the rate is raised, or lowered, to find how far it holds."""
STEPS_MAX = 2
"""To 140,000 channels: the `config` record of a site of 160,000 is above the limit of a record."""
LATENCY_DEVICES = 80
HOLDS_PERCENT = 99.9
STEP_WARM_UP_S = 10.0
STEP_WINDOW_S = 30.0


def holds(found: dict[str, Any]) -> bool:
    """Tell whether a run kept its polls and lost nothing."""
    return bool(found["kept_percent"] >= HOLDS_PERCENT and found["lost_rows"] == 0)


async def whole_path(program: Path, load: Load) -> dict[str, Any]:
    """Run the whole path in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="yaosu-load-") as folder:
        return await WholePath(load, program, Path(folder)).run()


async def ceiling(
    program: Path, full: dict[str, Any], step: int, warm_up_s: float, window_s: float
) -> dict[str, Any]:
    """Find how far it holds: up from the full run where that held, down where it did not.

    Returns:
        The runs, the highest rate that held (0 for none), and the lowest that did not (None for none).
    """
    runs, up = [full], holds(full)
    for number in range(1, STEPS_MAX + 1):
        count = full["tags_per_s"] // CHANNELS + (number if up else -number) * step
        if count <= 0:
            break
        runs.append(await whole_path(program, Load(count, warm_up_s, window_s)))
        if holds(runs[-1]) is not up:
            break
    rates = {ok: [run["tags_per_s"] for run in runs if holds(run) is ok] for ok in (True, False)}
    return {
        "runs": runs[1:],
        "held_tags_per_s": max(rates[True], default=0),
        "failed_tags_per_s": min(rates[False], default=None),
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, one after the other."""
    with tempfile.TemporaryDirectory(prefix="yaosu-load-") as folder:
        program = build_load(Path(folder))
        short = options.short
        step_s = (3.0, 5.0) if short else (STEP_WARM_UP_S, STEP_WINDOW_S)
        began_s = time.monotonic()
        found: dict[str, Any] = {
            "requests": await wire.requests(program, 500 if short else 5000),
            "decode_ns": wire.decode(0.2 if short else 2.0),
            "serial": await wire.serial(program, 3.0 if short else 20.0),
            "neighbours": await neighbours(program, *((2.5, 2) if short else (5.0,))),
        }
        for name, at_once in (("latency", False), ("latency_at_once", True)):
            load = Load(8 if short else LATENCY_DEVICES, *step_s, listen=True, at_once=at_once)
            found[name] = await whole_path(program, load)
        found["peers"] = await measure_peers(options, program, *step_s)
        count = 20 if short else options.devices
        found["full"] = await whole_path(program, Load(count, options.warm_up, options.window))
        found["ceiling"] = await ceiling(program, found["full"], 4 if short else STEP, *step_s)
        found["seconds"] = round(time.monotonic() - began_s)
    return found


def _path_rows(name: str, run: dict[str, Any]) -> list[tuple[str, str, str]]:
    load = f"load {run['load_1_min']:.1f}"
    stages = ", ".join(f"{stage} {us:.2f}" for stage, us in run["stages_us"].items())
    roles = ", ".join(f"{role} {us:.2f}" for role, us in run["processes_us"].items())
    return [
        (
            f"{name}: {run['tags_per_s']:,} tags/s for {run['window_s']} s",
            (
                f"{run['readings']:,} of {run['due']:,} readings stored ({run['kept_percent']:.3f} %), "
                f"{run['lost_rows']} rows lost, gateway {run['rss_mb']:.0f} MB"
            ),
            load,
        ),
        (f"{name}: CPU a reading, us, by process", roles, load),
        (f"{name}: CPU a reading, us, of the gateway by stage", stages, load),
    ]


def _latency_row(name: str, run: dict[str, Any]) -> tuple[str, str, str]:
    ages = run["latency_ms"] or {"p50": float("nan"), "p95": float("nan"), "p99": float("nan")}
    what = f"{name}, {run['tags_per_s']:,} tags/s: answer to subscriber"
    return (
        what, f"p50 {ages['p50']:.0f}, p95 {ages['p95']:.0f}, p99 {ages['p99']:.0f} ms",
        f"load {run['load_1_min']:.1f}",
    )  # fmt: skip


def _peer_row(name: str, run: dict[str, Any], ours: dict[str, Any]) -> tuple[str, str, str]:
    if "missing" in run:
        return f"{name}: CPU a value, wire to broker", f"not measured, {run['missing']}", ""
    mine = ours["processes_us"]["gateway"]
    return (
        f"{name}: CPU a value, wire to broker",
        (
            f"{run['us_per_tag']:.1f} us at {run['tags_per_s']:,} of {run['asked_tags_per_s']:,} tags/s, "
            f"{run['rss_mb']:.0f} MB; ours at {ours['tags_per_s']:,} tags/s {mine:.1f} us with rules and "
            f"journal: {run['us_per_tag'] / mine:.1f} times as much"
        ),
        f"load {run['load_1_min']:.1f}",
    )  # fmt: skip


def _ceiling_row(found: dict[str, Any], load: str) -> tuple[str, str, str]:
    failed = found["failed_tags_per_s"]
    beyond = "no higher one was tried" if failed is None else f"at {failed:,} it did not"
    return "highest rate that held", f"{found['held_tags_per_s']:,} tags/s; {beyond}", load


def _neighbours_row(near: dict[str, Any], load: str) -> tuple[str, str, str]:
    held = near["collections_ms"]
    return (
        "200 devices, 20 of them dead: how late the living are polled, p99",
        (
            f"{near['with_dead']['p99_ms']:.2f} ms, {near['alive']['p99_ms']:.2f} ms without dead ones: "
            f"ratio {near['p99_ratio']:.2f}, 95 % interval {near['low']:.2f} to {near['high']:.2f} over "
            f"{near['pairs']} pairs of turns, {near['deadlines']['with_dead']:,} deadlines each; the loop "
            f"alone {near['idle']['p99_ms']:.2f} ms; longest collection of garbage "
            f"{held['with_dead']['longest']:.1f} and {held['alive']['longest']:.1f} ms"
        ),
        load,
    )


def _rows(got: dict[str, Any], load: str) -> list[tuple[str, str, str]]:
    """Write the rows of the table."""
    requests, serial, near = got["requests"], got["serial"], got["neighbours"]
    decode = ", ".join(f"{ns:.0f} ns with {channels}" for channels, ns in got["decode_ns"].items())
    return [
        *_path_rows("whole path", got["full"]),
        _ceiling_row(got["ceiling"], load),
        _latency_row("default delays", got["latency"]),
        _latency_row("frame and commit delays 0", got["latency_at_once"]),
        (
            "request of 124 registers and its decode, CPU",
            (
                f"{requests['ours_us']:.0f} us, pymodbus' client {requests['pymodbus_us']:.0f} us: "
                f"{requests['ratio']:.2f} times as many"
            ),
            load,
        ),
        ("decode a float32, by channels of a poll", decode, load),
        (
            "RS-485 at 9600 baud, 62 floats back to back",
            (
                f"{serial['percent']:.1f} % of the plan's maximum "
                f"({serial['missing']} of {serial['rows']} rows missing)"
            ),
            load,
        ),
        _neighbours_row(near, load),
        *(_peer_row(name, run, got["latency"]) for name, run in got["peers"].items()),
    ]  # fmt: skip


def results_section(found: dict[str, Any]) -> str:
    """Write the section of RESULTS.md."""
    got = found["acquisition"]
    rows = _rows(got, f"load {found['machine']['load_1_min']}")
    text = (
        "Lean devices in C over Modbus TCP, 500 float32 values each at 1 Hz, nine requests of at most 125 "
        "registers a poll, phases spread; range, rate and flat line on every value; journal, mosquitto, "
        "collector and InfluxDB 1.6 on the same cores. A poll that was not sent before its next deadline is "
        "a miss; readings are counted in InfluxDB value by value. "
        f"What it means: the gateway takes {got['full']['processes_us']['gateway']:.1f} us of CPU a reading "
        "from the wire to the broker, with the rules and the durable journal in it. A load above the number "
        "of cores takes the time from the polls: then the CPU figures hold, and the polls kept say little. "
        f"The whole section took {got['seconds'] / 60:.0f} minutes."
    )
    return section_text("Acquisition", text, ("what", "figure", "machine"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--devices", type=int, default=FULL, help="devices of 500 values in the full run")
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds before the window")
    parser.add_argument("--window", type=float, default=120.0, help="seconds that are counted")
    add_arguments(parser)
    parser.add_argument("--short", action="store_true", help="all of it small, to see that it runs")
    options = parser.parse_args(arguments)
    machine = describe_machine(("numpy", "numba", "pymodbus", "aiomqtt", "uvloop"))
    machine["load_1_min"] = f"{os.getloadavg()[0]:.2f}"
    found = {"machine": machine, "acquisition": uvloop.run(measure(options))}
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
