"""One file for every role: `[site]` and the tables of the roles that run from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from config.model import FilePath, Identifier, Settings
from dashboard.settings import WebSettings
from drivers.registry import AnyInstrument
from drivers.transport.recording import RecordingSettings
from gateway.collector.settings import CollectorSettings
from gateway.remote.settings import CommandsSettings
from gateway.site.sharing import share_equal
from gateway.witness.settings import WitnessSettings
from pipeline.elements import ElementsSettings
from pipeline.intake.settings import IntakeSettings
from pipeline.journal import JournalSettings
from pipeline.mqtt import MqttSettings
from pipeline.records.envelope import Purpose
from pipeline.store import StoreSettings

REHEARSAL_SUFFIX = "-rehearsal"
"""Ends the name under which a production gateway's rehearsal journal is published."""


class Site(Settings):
    """Who and where this is."""

    lab: Identifier
    """Id of the laboratory, part of every topic and tag."""
    gateway: Identifier
    """Id of this gateway, unique in the laboratory."""
    title: Annotated[str, Field(max_length=120)] = ""
    """Name of the place for pages."""
    purpose: Purpose = "production"
    """`production` records the laboratory's work; `rehearsal` simulators and replays, and says so."""
    state_dir: FilePath = FilePath("/var/lib/yaosu")
    """Folder of journal, archive, keys and sockets; a relative path counts from this file's folder."""


class SiteSettings(Settings):
    """The whole file. Each role reads its own tables; the others may be there or not."""

    site: Site
    intake: IntakeSettings = IntakeSettings()
    recording: RecordingSettings = RecordingSettings()
    journal: JournalSettings = JournalSettings()
    elements: ElementsSettings = ElementsSettings()
    mqtt: MqttSettings = MqttSettings()
    commands: CommandsSettings = CommandsSettings()
    """Commands from other systems: over MQTT, as files in a folder."""
    instrument: Annotated[
        tuple[Annotated[AnyInstrument, Field(discriminator="driver")], ...], Field(max_length=1000)
    ] = ()
    """The instruments that `yaosu run` reads."""
    store: Annotated[StoreSettings, Field(discriminator="kind")] | None = None
    """Where `yaosu collect` writes and `yaosu web` reads; embedded in the state folder when left out."""
    collector: CollectorSettings = CollectorSettings()
    web: WebSettings = WebSettings()
    witness: WitnessSettings | None = None
    """Who `yaosu witness` speaks for, and whose logs it cosigns."""

    @field_validator("instrument", mode="after")
    @classmethod
    def _hold_equal_ones_once(cls, instruments: tuple[AnyInstrument, ...]) -> tuple[AnyInstrument, ...]:
        return share_equal(instruments)
