"""`alarm` and `lookback`: what calls for a person, and what that person does about it."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import typer

from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    WORK,
    ConfigOption,
    JsonOption,
    KeyOption,
    PersonOption,
    command,
    example,
    local_time,
    print_json,
    secret_for,
    table,
    view,
)

alarm_app = typer.Typer(no_args_is_help=True, help="Alarms: list, acknowledge, cause, action, close.")
lookback_app = typer.Typer(no_args_is_help=True, help="Look-backs: what rests on something that failed.")

AlarmArgument = Annotated[str, typer.Argument(help="Id of the alarm.")]
LookBackArgument = Annotated[str, typer.Argument(help="Id of the look-back.")]
TextOption = Annotated[str, typer.Option("--reason", help="What you say about it; kept in the record.")]
LanguageOption = Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the texts.")]


@alarm_app.command("list", epilog=example("alarm list", "alarm list --all --lang zh"))
def list_alarms(
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    language: LanguageOption = "en",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the alarms, the worst first."""
    alarms = [one for one in view(config, "alarms", as_json=as_json) if closed or one["open"]]
    if as_json:
        print_json(alarms)
        return
    for one in alarms:
        quiet = f" (quiet: {one['suppressed']})" if one["suppressed"] else ""
        facts = (
            one["alarm"], one["severity"], one[f"step_{language}"] + quiet, f"level {one['level']}",
            f"since {local_time(one['first_utc_ns'])}", f"{one['count']} events",
        )  # fmt: skip
        OUT.print("  ".join(facts), markup=False)
        OUT.print(f"    {one[language]}", markup=False)
    OUT.print("take one up: yaosu alarm ack ALARM --reason … --as PERSON" if alarms else "no open alarms")


@alarm_app.command("show", epilog=example("alarm show A-00012"))
def show_alarm(
    alarm: AlarmArgument, language: LanguageOption = "en",
    config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show an alarm, its evidence, and what was done about it."""
    one = view(config, f"alarms/{quote(alarm, safe='')}", as_json=as_json)
    if as_json:
        print_json(one)
        return
    OUT.print(f"{one['alarm']} ({one['severity']}): {one[language]}", markup=False)
    seqs = ", ".join(str(seq) for seq in one["seqs"])
    OUT.print(f"{one[f'step_{language}']}; {one['count']} events, records {seqs}", markup=False)
    for deed in one["deeds"]:
        when = local_time(deed["at_utc_ns"])
        OUT.print(f"{when}  {deed['deed']}  {deed['person']}: {deed['text']} ({deed['seq']})", markup=False)
    if one["refused"]:
        OUT.print(f"not told: the webhook answered {one['refused']}", markup=False)


def _deed(
    config: ConfigOption, name: str, alarm: str, text: str, person: str, *, key: str, as_json: bool
) -> None:  # fmt: skip
    args = {"alarm": alarm, "text": text}
    answer = command(config, f"alarm.{name}", args, secret_for(person), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"{alarm}: {answer['result']['step']}", markup=False)


@alarm_app.command("ack", epilog=example('alarm ack A-00012 --reason "on my way" --as p-0002'))
def acknowledge(
    alarm: AlarmArgument, text: TextOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Acknowledge an alarm: you have it in hand. It does not escalate for want of an answer any more."""
    _deed(config, "acknowledge", alarm, text, person, key=key, as_json=as_json)


@alarm_app.command("cause", epilog=example('alarm cause A-00012 --reason "hub unplugged" --as p-0002'))
def cause(
    alarm: AlarmArgument, text: TextOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """State what caused it."""
    _deed(config, "cause", alarm, text, person, key=key, as_json=as_json)


@alarm_app.command("action", epilog=example('alarm action A-00012 --reason "cable fixed" --as p-0002'))
def action(
    alarm: AlarmArgument, text: TextOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """State what was done about it."""
    _deed(config, "action", alarm, text, person, key=key, as_json=as_json)


@alarm_app.command("close", epilog=example('alarm close A-00012 --reason "no loss since" --as p-0004'))
def close(
    alarm: AlarmArgument, text: TextOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Close an alarm. The next event of its cause raises a new one."""
    _deed(config, "close", alarm, text, person, key=key, as_json=as_json)


@lookback_app.command("list", epilog=example("lookback list"))
def list_look_backs(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the look-backs, open ones first."""
    found = view(config, "lookbacks", as_json=as_json)
    if as_json:
        print_json(found)
        return
    shown = table("look-back", "cause", "subject", "since", "affected", "to be disposed of", "state")
    for one in found:
        since = "the beginning" if one["from_utc_ns"] is None else local_time(one["from_utc_ns"])
        state = "closed" if not one["open"] else "open" if one["reached"] else "open, collecting"
        shown.add_row(
            one["lookback"], one["cause"], one["subject"], since, str(one["affected"]), str(one["waiting"]),
            state,
        )  # fmt: skip
    OUT.print(shown if found else "no look-backs")


@lookback_app.command("show", epilog=example("lookback show LB-4711 --lang zh"))
def show_look_back(
    lookback: LookBackArgument, language: LanguageOption = "en",
    config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show the impact report of a look-back."""
    found = view(config, f"lookbacks/{quote(lookback, safe='')}", as_json=as_json)
    if as_json:
        print_json(found)
        return
    OUT.print(found[language], markup=False)


@lookback_app.command(
    "close", epilog=example('lookback close LB-4711 --conclusion "results recalculated" --as p-0004')
)
def close_look_back(
    lookback: LookBackArgument,
    conclusion: Annotated[str, typer.Option(help="What the evaluation came to; kept in the record.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Close a look-back, once every result that it held has its disposition."""
    args = {"lookback": lookback, "conclusion": conclusion}
    command(config, "lookback.close", args, secret_for(person), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"{lookback} is closed", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(alarm_app, name="alarm", rich_help_panel=WORK)
    app.add_typer(lookback_app, name="lookback", rich_help_panel=WORK)
