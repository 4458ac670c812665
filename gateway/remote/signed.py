"""Signed commands: what a request must be to be carried out, and how its answer is signed. Pure.

A request is the JSON object {key, signature, body}: `body` is a JSON text, signed byte for byte as it stands
there, so that nobody has to agree on a canonical form. The signature is Ed25519 (RFC 8032) over the context
line and the text in UTF-8, in hexadecimal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from gateway.trust.roles import may_command
from pipeline.records.signing import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.remote.counters import Used
    from gateway.trust import Pinned
    from pipeline.records.signing import SigningKey

Json = dict[str, Any]
REQUEST_CONTEXT = b"yaosu command 1\n"
REPLY_CONTEXT = b"yaosu reply 1\n"
"""Signed before the text, so that a signature made for something else is neither."""
REQUEST_BYTES_MAX = 64 * 1024
TEXT_MAX = 128
_TEXTS = ("gateway", "command", "nonce", "idempotency_key")


class BadRequestError(Exception):
    """A request that is not carried out: why, in both languages.

    `signed_by` is set once the signature is good: only then is an answer sent, and a name recorded.
    """

    def __init__(self, code: str, en: str, zh: str, *, signed_by: Pinned | None = None) -> None:
        super().__init__(en)
        self.code, self.en, self.zh, self.signed_by = code, en, zh, signed_by


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it was sent; nothing of it is believed before `check` has passed."""

    key: str
    signature: bytes
    text: bytes
    sha256: str
    """Of the whole message, in hexadecimal: what the answer names."""
    gateway: str
    command: str
    args: Any
    counter: Any
    nonce: str
    idempotency_key: str
    not_before_ns: int | None
    not_after_ns: int | None


def read_request(payload: bytes) -> SignedRequest:
    """Read a message.

    Raises:
        BadRequestError: it is no request.
    """
    if len(payload) > REQUEST_BYTES_MAX:
        raise _wrong(f"larger than {REQUEST_BYTES_MAX} bytes", f"超过 {REQUEST_BYTES_MAX} 字节")
    try:
        outer = orjson.loads(payload)
        text = outer["body"].encode()
        body = orjson.loads(text)
        request = SignedRequest(
            key=_text(outer, "key"), signature=bytes.fromhex(outer["signature"]), text=text,
            sha256=hashlib.sha256(payload).hexdigest(), args=body["args"], counter=body["counter"],
            not_before_ns=_instant(body.get("not_before")), not_after_ns=_instant(body.get("not_after")),
            **{name: _text(body, name) for name in _TEXTS},
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _wrong(f"not of the form {{key, signature, body}}: {error}", f"格式有误：{error}") from None
    if not isinstance(request.args, dict):
        raise _wrong("args is not a JSON object", "args 不是 JSON 对象")
    if type(request.counter) is not int or not 0 < request.counter < 2**63:
        raise _wrong("counter is an integer from 1 on", "counter 应为从 1 起的整数")
    return request


def _wrong(en: str, zh: str) -> BadRequestError:
    return BadRequestError("not-understood", f"the message is no signed command: {en}", f"不是签名命令：{zh}")


def _text(table: Json, name: str) -> str:
    value = table[name]
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
        raise ValueError(f"{name} is a text of 1 to {TEXT_MAX} characters")
    return value


def _instant(text: str | None) -> int | None:
    """Read an ISO 8601 instant with its offset from UTC, to ns; None stays None."""
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC")
    return round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000) * 1000


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a request is held against."""

    pinned: Mapping[str, Pinned]
    gateway: str
    """`lab/gateway`"""
    now_utc_ns: int
    synchronised: bool
    """The clock can be trusted; else only counter and nonce count."""
    used: Used
    """What the key has used up."""


def signer(request: SignedRequest, pinned: Mapping[str, Pinned]) -> Pinned:
    """Find who signed a request.

    Raises:
        BadRequestError: the key is not pinned, or the signature is not its own.
    """
    known = pinned.get(request.key)
    if known is None or known.role == "collector":
        raise BadRequestError(
            "unknown-key", "the key is not pinned for commands; pin it: yaosu keys trust KEY --role lims",
            "该密钥未在此固定用于命令；请执行 yaosu keys trust KEY --role lims",
        )  # fmt: skip
    if not verify(known.public, request.signature, REQUEST_CONTEXT + request.text):
        raise BadRequestError(
            "bad-signature", "the signature does not fit the body and the key", "签名与内容或密钥不符"
        )
    return known


def check(request: SignedRequest, circumstances: Circumstances) -> Pinned:
    """See that a request is to be carried out now, once, here, by this key.

    Returns:
        The key's holder.

    Raises:
        BadRequestError: it is not.
    """
    known = signer(request, circumstances.pinned)
    problem = (
        _place_or_right(request, known, circumstances.gateway)
        or _time(request, circumstances)
        or _repeated(request, circumstances.used)
    )
    if problem is not None:
        code, en, zh = problem
        raise BadRequestError(code, en, zh, signed_by=known)
    return known


Problem = tuple[str, str, str]


def _place_or_right(request: SignedRequest, known: Pinned, gateway: str) -> Problem | None:
    if request.gateway != gateway:
        return (
            "other-gateway", f"the command is for {request.gateway}, this is {gateway}",
            f"命令发给 {request.gateway}，本机为 {gateway}",
        )  # fmt: skip
    if not may_command(known.role, request.command):
        return (
            "not-permitted", f"a key of role {known.role} may not give {request.command}",
            f"角色 {known.role} 的密钥无权执行 {request.command}",
        )  # fmt: skip
    return None


def _time(request: SignedRequest, circumstances: Circumstances) -> Problem | None:
    if not circumstances.synchronised:
        return None  # a clock that is wrong must not admit or shut out anybody
    if request.not_after_ns is not None and circumstances.now_utc_ns > request.not_after_ns:
        return "expired", "the command has expired; send a new one", "命令已过期，请重新发送"
    if request.not_before_ns is not None and circumstances.now_utc_ns < request.not_before_ns:
        return (
            "too-early",
            "the command is not valid yet; is the sender's clock right?",
            "命令尚未生效，请核对时钟",
        )
    return None


def _repeated(request: SignedRequest, used: Used) -> Problem | None:
    if request.counter <= used.counter:
        return (
            "counter-used",
            f"the counter must be above {used.counter}; the same idempotency_key gets the first answer again",
            f"counter 须大于 {used.counter}；以新的 counter 和相同的 idempotency_key 重发可取得首次应答",
        )  # fmt: skip
    if request.nonce in used.nonces:
        return (
            "nonce-used",
            "the nonce was used before; make a new one each time",
            "nonce 已使用过，请每次重新生成",
        )
    return None


def seal(key: SigningKey, context: bytes, body: Json) -> bytes:
    """Make the signed bytes of a request or an answer."""
    text = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return orjson.dumps({"key": key.id, "signature": key.sign(context + text).hex(), "body": text.decode()})
