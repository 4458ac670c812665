"""Topic names, in one place."""

from __future__ import annotations

from dataclasses import dataclass

ROOT = "yaosu/v1"
SHARE = "collectors"
_RESERVED = frozenset("/+#\0")
"""What MQTT 5 section 4.7.1 reserves in topic names."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of one gateway of one lab."""

    lab: str
    gateway: str

    @property
    def base(self) -> str:
        """Prefix of all topics of this gateway."""
        return f"{ROOT}/{self.lab}/{self.gateway}"

    @property
    def status(self) -> str:
        """Retained, last will: online or offline."""
        return f"{self.base}/status"

    @property
    def birth(self) -> str:
        """Retained: bytes of the latest config record."""
        return f"{self.base}/birth"

    @property
    def checkpoint(self) -> str:
        """Retained: latest signed note."""
        return f"{self.base}/checkpoint"

    @property
    def keys(self) -> str:
        """Retained once the log's key was changed: [seq, signed note] of each change, JSON."""
        return f"{self.base}/keys"

    @property
    def alarm(self) -> str:
        """Retained: the open alarms."""
        return f"{self.base}/alarm"

    @property
    def receipt(self) -> str:
        """To the gateway: what is durably stored."""
        return f"{self.base}/receipt"

    @property
    def witness(self) -> str:
        """To the gateway: a witness asks for a proof, and brings its cosignature."""
        return f"{self.base}/witness"

    def witness_reply(self, key: str) -> str:
        """To a witness, by the id of its key: proof and checkpoint."""
        return f"{self.witness}/{key}"

    @property
    def command(self) -> str:
        """To the gateway: signed requests."""
        return f"{self.base}/command"

    def answerable(self, response_topic: str) -> bool:
        """Tell whether a request may have its answer sent there: below `reply`, or outside our own tree."""
        if not response_topic or set(response_topic) & set("+#\0") or response_topic.startswith("$"):
            return False
        return response_topic.startswith(f"{self.base}/reply/") or not response_topic.startswith(f"{ROOT}/")

    def record(self, kind: str, instrument: str | None) -> str:
        """Records of one kind, of one instrument where they belong to one that a topic can name."""
        nameable = instrument and not set(instrument) & _RESERVED
        return f"{self.base}/rec/{kind}" + (f"/{instrument}" if nameable else "")


ALL_RECORDS = f"$share/{SHARE}/{ROOT}/+/+/rec/#"
"""Filter of the collectors' shared subscription."""
ALL_RETAINED = (f"{ROOT}/+/+/status", f"{ROOT}/+/+/birth", f"{ROOT}/+/+/checkpoint")


def gateway_of(topic: str) -> Topics:
    """Tell which gateway a topic belongs to. Raises ValueError for a topic that is not ours."""
    parts = topic.split("/")
    if len(parts) < 5 or "/".join(parts[:2]) != ROOT:
        raise ValueError(f"'{topic}' is not a topic of a gateway")
    return Topics(parts[2], parts[3])
