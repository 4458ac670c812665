"""The change of the log's key: taken up by the running daemon when a person has put a new key beside it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.journal import JournalFullError
from pipeline.journal.note import verifier_key
from pipeline.journal.succession import KIND
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from gateway.edge.recorder import Recorder

LOG = logging.getLogger(__name__)


class KeyChange:
    """Looks for a new key before each checkpoint.

    Args:
        recorder: takes the record that changes the key, and the event that tells people.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told = ""

    async def look(self) -> None:
        """Change the key if a new one is there. What is wrong with it is logged once; the old one stays."""
        try:
            await self._change()
        except JournalFullError:
            return  # at the next turn
        except (OSError, ValueError) as error:
            if str(error) != self._told:
                LOG.error("the log's key is not changed: %s", error)  # noqa: TRY400 - the trace says no more
            self._told = str(error)

    async def _change(self) -> None:
        journal = self._recorder.journal
        keys = journal.keys
        heir = await keys.heir()
        if heir is None:
            return
        if heir.public != keys.key.public:
            old, note = keys.key, keys.succession(journal.origin, heir)
            # Nothing may be sealed in between: no await from here to `changed`.
            record = self._recorder.append(KIND, {"note": note})
            keys.changed(record.seq, note, heir)
            vkeys = [verifier_key(journal.origin, one.public) for one in (old, heir)]
            self._recorder.append("event", event_body("log-key-changed", old=vkeys[0], new=vkeys[1]))
        await journal.wait_beyond(keys.successions[-1][0] - 1)
        await keys.settle()
        LOG.info("the log is sealed by key %s from now on", keys.key.id)
