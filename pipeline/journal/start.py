"""What is fixed when a journal is made (id, key, purpose) and at each start (boot, clock offset)."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgpack

from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.errors import ForeignKeyError, WrongPurposeError
from pipeline.journal.framing import payload, scan, seal, unseal
from pipeline.journal.note import MalformedNote
from pipeline.journal.segments import LEDGER_DIRECTORY, MERGED_DIRECTORY, list_segments
from pipeline.journal.succession import KeyChain
from pipeline.records.envelope import MalformedRecord, decode
from pipeline.records.signing import ALGORITHM, SigningKey, key_id, next_key_path, take_over, verify

if TYPE_CHECKING:
    from pipeline.journal.fold import Fold
    from pipeline.records import Clock
    from pipeline.records.envelope import Purpose

META_NAMES = ("journal.meta", "journal.meta.copy")
KEY_NAME = "journal.key"
BOOT_NAME = "boot.state"
_META_MAGIC = b"YAOSUMET"
_BOOT_MAGIC = b"YAOSUBOO"
_OWN_KEY = "restore the journal's own key, or use another directory for a new journal"
_HEAD_BYTES = 2**20
"""Of a segment, looked through for a record where nothing else says whose it is."""
_UNKNOWN_DOWNTIME_NS = 1_000_000_000
"""How far gateway time goes on when nobody knows how long the gateway was down."""

Basis = Literal["new", "same-boot", "utc-synchronised", "unknown"]


@dataclass(frozen=True, slots=True)
class Meta:
    """What a journal is."""

    id: bytes
    purpose: Purpose
    created_utc_ns: int


@dataclass(frozen=True, slots=True)
class Downtime:
    """How long the gateway was not there, before this start."""

    ns: int | None
    """Since the last durable record, in gateway time; None when no clock can vouch for it."""
    basis: Basis
    last_run_ns: int | None
    last_utc_ns: int | None
    """Stamps of the last durable record; None in a new journal."""


@dataclass(frozen=True, slots=True)
class StartInfo:
    """What the daemon writes into its `daemon-start` event."""

    boot: int
    offset_ns: int
    """Gateway time minus the base clock's."""
    downtime: Downtime


def os_boot_id() -> str:
    """Id of the running boot of the operating system; "" when the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def load_key(disk: Disk, directory: Path, path: Path) -> SigningKey:
    """Read the journal's key, or make it with a new journal.

    Raises:
        ForeignKeyError: there is a journal but no key.
        PermissionError, ValueError: see `SigningKey.load_or_create`.
    """
    if not path.exists() and any(disk.size(directory / name) >= 0 for name in META_NAMES):
        raise ForeignKeyError(
            f"the journal in {directory} has lost its key {path}",
            hint="restore the key from a backup; a new key would begin a new journal: use another directory",
        )
    return SigningKey.load_or_create(path)


def load_meta(
    disk: Disk, directory: Path, key: SigningKey, purpose: Purpose, now_utc_ns: int
) -> tuple[Meta, bytes, bool]:  # fmt: skip
    """Read what the journal is, or make it.

    Returns it, the 32-byte public key that signed it, and whether it had to be rebuilt after damage.

    Raises:
        WrongPurposeError: it was made for the other purpose.
    """
    present = [name for name in META_NAMES if disk.size(directory / name) >= 0]
    metas = [found for name in present if (found := _read_meta(disk, directory / name)) is not None]
    written = None if metas else _written_before(disk, directory)
    if metas:
        meta, public = metas[0]
    else:
        journal, made_for = written or (secrets.token_bytes(16), purpose)
        meta, public = Meta(journal, made_for, now_utc_ns), key.public
    if meta.purpose != purpose:
        raise WrongPurposeError(
            f"the journal in {directory} is a {meta.purpose} journal, not a {purpose} one",
            hint="give the other purpose a directory of its own",
        )
    if len(metas) < len(META_NAMES) and public == key.public:
        _write_metas(disk, directory, _pack_meta(meta, key), required=not metas)
    return meta, public, not metas and (bool(present) or written is not None)


def _write_metas(disk: Disk, directory: Path, data: bytes, *, required: bool) -> None:
    try:
        for name in META_NAMES:
            write_whole(disk, directory / name, data)
    except OSError:
        if required:
            raise


def read_meta_public(disk: Disk, directory: Path) -> tuple[Meta, bytes] | None:
    """Read what the journal is and its public key, without its private key; None when damaged or forged."""
    return next((found for name in META_NAMES if (found := _read_meta(disk, directory / name))), None)


def _signed(fields: dict[str, Any]) -> bytes:
    return b"yaosu journal\n" + bytes(msgpack.packb([fields[name] for name in sorted(fields)]))


def _pack_meta(meta: Meta, key: SigningKey) -> bytes:
    fields = {
        "id": meta.id,
        "purpose": meta.purpose,
        "created_utc_ns": meta.created_utc_ns,
        "algorithm": ALGORITHM,
        "key_id": key.id,
        "public": key.public,
    }
    return seal(_META_MAGIC, msgpack.packb([fields, key.sign(_signed(fields))]))


def _read_meta(disk: Disk, path: Path) -> tuple[Meta, bytes] | None:
    """Read a copy with the public key that it names; None when it is damaged or not signed by that key."""
    with suppress(OSError):
        content = unseal(_META_MAGIC, disk.read(path))
        if content is not None:
            fields, signature = msgpack.unpackb(content)
            if verify(fields["public"], signature, _signed(fields)):
                return Meta(fields["id"], fields["purpose"], fields["created_utc_ns"]), fields["public"]
    return None


def settle_key(
    disk: Disk, directory: Path, path: Path, meta: Meta, public: bytes, successions: list[tuple[int, str]]
) -> SigningKey:  # fmt: skip
    """Return the journal's key as its records have it; end a change of key that a crash had interrupted.

    Args:
        disk: the file system of the journal.
        directory: the journal's.
        path: the key's file.
        meta: what the journal is.
        public: the key that signed `meta`.
        successions: seq and note of each change of key.

    Raises:
        ForeignKeyError: the key is not the journal's, or a change of it is not signed by the key before.
    """
    key, following = SigningKey.load_or_create(path), next_key_path(path)
    try:
        current = KeyChain(public, successions).current
    except MalformedNote as error:
        raise ForeignKeyError(f"the journal in {directory}: {error}", hint=_OWN_KEY) from error
    if key.public != current and following.exists():
        heir = SigningKey.load_or_create(following)
        if heir.public == current:
            take_over(path)
            key = heir
    if key.public != current:
        raise ForeignKeyError(
            f"the journal in {directory} was signed by key {key_id(current)}, not by {key.id}", hint=_OWN_KEY
        )
    if public != current:
        _write_metas(disk, directory, _pack_meta(meta, key), required=False)
    return key


def sign_anew(disk: Disk, directory: Path, meta: Meta, key: SigningKey) -> None:
    """Sign what the journal is with its new key. Raises OSError."""
    _write_metas(disk, directory, _pack_meta(meta, key), required=True)


def _written_before(disk: Disk, directory: Path) -> tuple[bytes, Purpose] | None:
    """Return the id and purpose of the journal whose segments lie here, as its first record tells them."""
    folders = [directory, directory / LEDGER_DIRECTORY, directory / LEDGER_DIRECTORY / MERGED_DIRECTORY]
    with suppress(OSError):
        for segment in (segment for folder in folders for segment in list_segments(disk, folder)):
            head = disk.read(segment.path, 0, _HEAD_BYTES)
            for entry in scan(head, segment.first_seq)[0]:
                with suppress(MalformedRecord):
                    record = decode(payload(head, entry))
                    simulated = record.source in {"simulated", "replayed"}
                    return record.journal, "rehearsal" if simulated else "production"
    return None


def begin_boot(disk: Disk, directory: Path, fold: Fold, base: Clock, boot_id: str) -> StartInfo:
    """Fix this boot's number and clock offset, and keep both on disk before anything uses them."""
    last = _read_boot(disk, directory / BOOT_NAME)
    boot = max(fold.boot, last["boot"]) + 1
    # A system that does not say which boot this is may have been started anew.
    same_boot = bool(boot_id) and last["boot_id"] == boot_id
    offset_ns, downtime = choose_offset(fold, base, last["offset_ns"] if same_boot else None)
    state = {"boot": boot, "boot_id": boot_id, "offset_ns": offset_ns}
    # A disk that is full must not stop the start: the records themselves carry boot and gateway time.
    with suppress(OSError):
        write_whole(disk, directory / BOOT_NAME, seal(_BOOT_MAGIC, msgpack.packb(state)))
    return StartInfo(boot, offset_ns, downtime)


def _read_boot(disk: Disk, path: Path) -> dict[str, Any]:
    with suppress(OSError):
        content = unseal(_BOOT_MAGIC, disk.read(path))
        if content is not None:
            state: dict[str, Any] = msgpack.unpackb(content)
            return state
    return {"boot": 0, "boot_id": None, "offset_ns": 0}


def choose_offset(fold: Fold, base: Clock, same_boot_offset_ns: int | None) -> tuple[int, Downtime]:
    """Choose the offset from the base clock to gateway time, so that gateway time goes on increasing.

    Args:
        fold: state after the last durable record.
        base: the clock that is shifted.
        same_boot_offset_ns: the last start's offset if the operating system has not been restarted since.
    """
    base_ns = base.run_ns()
    if fold.next_seq == 0:
        return same_boot_offset_ns or 0, Downtime(0, "new", None, None)
    last_ns, last_utc_ns = fold.t_run_ns, fold.t_utc_ns
    if same_boot_offset_ns is not None and base_ns + same_boot_offset_ns > last_ns:
        down_ns = base_ns + same_boot_offset_ns - last_ns
        return same_boot_offset_ns, Downtime(down_ns, "same-boot", last_ns, last_utc_ns)
    down_ns = base.utc_ns() - last_utc_ns
    if fold.synchronised and base.state().synchronised and down_ns > 0:
        return last_ns + down_ns - base_ns, Downtime(down_ns, "utc-synchronised", last_ns, last_utc_ns)
    return last_ns + _UNKNOWN_DOWNTIME_NS - base_ns, Downtime(None, "unknown", last_ns, last_utc_ns)


def last_difference_ns(fold: Fold, downtime: Downtime, base: Clock) -> int | None:
    """UTC minus gateway time at the last record, to tell a step of UTC by; None when it cannot tell one.

    After an unknown downtime gateway time may have gone on by too little or too much: then only a UTC before
    the last record's is a step.
    """
    unknown = downtime.basis in {"new", "unknown"}
    if unknown and base.utc_ns() >= fold.t_utc_ns:
        return None
    return fold.t_utc_ns - fold.t_run_ns
