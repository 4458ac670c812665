"""A watched folder of command files: `in` holds them, `answers` what became of each row, `done` the files.

Writers put a file there whole: under another name first (`.x.csv` or `x.csv.part`), then renamed to `x.csv`,
which a file system does at once or not at all. A file leaves `in` only when its answers are on disk; one that
a crash interrupted is read again, and each row that was carried out before gets its first answer.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.door.app import CommandRefusedError
from gateway.durable import write_durably
from gateway.remote.rate import RateLimit
from gateway.remote.rows import FILE_BYTES_MAX, Answer, FileRefusedError, Row, read_rows, write_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.remote.receiver import Executor
    from gateway.remote.settings import CommandsSettings, FolderSettings
    from pipeline.records import Clock

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
ROLE = "lims"
CORRECT = "correct the row and send it in a new file, under the same row_id"


class CommandFolder:
    """Carries out the rows of the files that appear in a folder, one file and one row at a time, by name.

    Bounded: one file of at most FILE_BYTES_MAX bytes and `rows_max` rows in memory; files wait in the folder.
    Rows beyond the rate limit wait.

    Args:
        settings: folder and name.
        commands: the rate limit.
        root: folder from which a relative path counts.
        clock: stamps of actors.
        executor: carries commands out.
        problem: told of a file or a folder that cannot be used, with file:line.
    """

    def __init__(
        self, settings: FolderSettings, commands: CommandsSettings, *, root: Path, clock: Clock,
        executor: Executor, problem: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        path = (root / settings.path).resolve()
        self.incoming, self.answers, self.done = path / "in", path / "answers", path / "done"
        self._clock = clock
        self._executor = executor
        self._problem = problem
        self._rate = RateLimit(commands.rate_per_s, commands.burst)

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            OSError: a folder cannot be made, read or written.
        """
        for folder in (self.incoming, self.answers, self.done):
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        while True:
            for path in await asyncio.to_thread(self._waiting):
                await self.take(path)
            await asyncio.sleep(LOOK_S)

    def _waiting(self) -> list[Path]:
        return sorted(
            path
            for path in self.incoming.iterdir()
            if path.suffix.lower() == ".csv" and not path.name.startswith(".") and path.is_file()
        )

    async def take(self, path: Path) -> None:
        """Carry a file out, write its answers, put it with those that are done."""
        try:
            rows = read_rows(path.name, await asyncio.to_thread(_read, path), self._settings.rows_max)
        except FileRefusedError as refused:
            self._problem(str(refused))
            answers = [Answer(Row(0, "", "", {}), ok=False, code="file-refused", message=str(refused))]
        else:
            answers = [await self._answer(path.name, row) for row in rows]
        await asyncio.to_thread(self._finish, path, write_answers(answers))

    def _finish(self, path: Path, answers: bytes) -> None:
        """Keep the answers, then the file; of two files of one name neither writes over the other."""
        stem, number = path.stem, 1
        while (self.done / f"{stem}.csv").exists():
            number += 1
            stem = f"{path.stem}.{number}"
        write_durably(self.answers / f"{stem}.csv", answers, mode=0o640)
        path.rename(self.done / f"{stem}.csv")

    async def _answer(self, name: str, row: Row) -> Answer:
        if row.problem:
            self._problem(row.problem)
            return Answer(row, ok=False, code="broken-row", message=row.problem, hint=CORRECT)
        while not self._rate.allow(self._settings.service, self._clock.run_ns()):  # noqa: ASYNC110 - time is all
            await asyncio.sleep(LOOK_S / 10)
        key = f"row {row.row_id}"
        actor = {
            "person": self._settings.service, "role": ROLE, "how": "service",
            "station": f"folder {name}:{row.line}", "meaning": row.command, "reason": "",
            "signed_at_ns": self._clock.utc_ns(), "idempotency_key": key,
        }  # fmt: skip
        try:
            done = await self._durably(row, actor, key)
        except CommandRefusedError as refused:
            await self._executor.refused(row.command, refused.code, self._settings.service, row.args)
            message = f"{name}:{row.line}: {refused.en}"
            return Answer(row, ok=False, code=refused.code, message=message, hint=refused.hint)
        seqs = done["seq"]
        record = "" if not seqs else str(seqs[0]) if len(seqs) == 1 else f"{seqs[0]}-{seqs[-1]}"
        return Answer(row, ok=True, task=str(done["result"].get("task", "")), record=record)

    async def _durably(self, row: Row, actor: dict[str, Any], key: str) -> dict[str, Any]:
        """Carry a row out, however long the disk makes it wait."""
        while True:
            try:
                return await self._executor.execute(row.command, row.args, actor, key)
            except CommandRefusedError as refused:
                if refused.code != "not-durable":
                    raise
            await asyncio.sleep(LOOK_S)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise FileRefusedError(f"{path.name}:1: larger than 4 MiB; split the file")
    return content
