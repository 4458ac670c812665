"""What a person approves or closes on a page, signed: versions of charts, batches, look-backs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dashboard import quality
from dashboard.behind import read_view
from dashboard.context import refusal_page
from dashboard.signed import Refusal, carry_out, read_step

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.sessions import Viewer


async def approve_chart(context: Context, request: Request, viewer: Viewer) -> Response:
    """Approve the version of a chart that was shown: what is signed is its hash as the page had it."""
    form = await read_step(context, request, viewer)
    if not isinstance(form, dict):
        return form
    name = request.path_params["chart"]
    answer = await read_view(context, "charts", name)
    version = form.get("version", "")
    if answer.problem or not (version.isdecimal() and len(version) <= 9):
        return refusal_page(
            context, request, viewer, answer.problem or "refused.bad_form", HTTPStatus.BAD_REQUEST
        )
    args = {
        "chart": answer.content["chart"], "version": int(version), "signed_hash": form.get("to_sign", ""),
        "reason": form.get("text", "").strip(),
    }  # fmt: skip
    done = await carry_out(
        context, request, viewer, form, "chart.approve", args, back=f"/charts/{quote(name, safe='')}"
    )
    if isinstance(done, Refusal):
        return await quality.chart(context, request, viewer, done)
    return done


async def close_batch(context: Context, request: Request, viewer: Viewer) -> Response:
    """Close a batch; a reason is needed only where quality control that is due is left out."""
    form = await read_step(context, request, viewer)
    if not isinstance(form, dict):
        return form
    name, reason = request.path_params["batch"], form.get("text", "").strip()
    args: dict[str, Any] = {"batch": name, **({"without_qc": reason} if reason else {})}
    done = await carry_out(
        context, request, viewer, form, "batch.close", args, back=f"/batches/{quote(name, safe='')}",
        reason_needed=False,
    )  # fmt: skip
    if isinstance(done, Refusal):
        return await quality.batch(context, request, viewer, done)
    return done


async def close_lookback(context: Context, request: Request, viewer: Viewer) -> Response:
    """Close a look-back with the evaluation of its impact."""
    form = await read_step(context, request, viewer)
    if not isinstance(form, dict):
        return form
    name = request.path_params["lookback"]
    args = {"lookback": name, "conclusion": form.get("text", "").strip()}
    done = await carry_out(
        context, request, viewer, form, "lookback.close", args, back=f"/lookbacks/{quote(name, safe='')}"
    )
    if isinstance(done, Refusal):
        return await quality.lookback(context, request, viewer, done)
    return done
