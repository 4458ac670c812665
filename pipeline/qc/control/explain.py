"""Why an observation of a control sample has its flag, in words, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.qc.control.table import BY_NAME, SCOPE_TITLES, SCOPES, names_of
from pipeline.qc.describe import quantity

if TYPE_CHECKING:
    from pipeline.qc.control.charts import Chart
    from pipeline.qc.control.monitor import Judged
    from pipeline.qc.control.settings import MultiruleQc
    from pipeline.qc.control.table import Scope
    from pipeline.records.events import Language

_R_4S = {
    "opposite": ("one beyond +2 SD, the other beyond -2 SD", "一个高于 +2 SD，另一个低于 -2 SD"),
    "range": ("a range of more than 4 SD", "极差超过 4 SD"),
}
_TOO_FEW = (
    "{title} not evaluated {where}: it needs {points} values",
    "{title}{where}未评价：需要 {points} 个值",
)
_GAP = ("{count} missing value(s) came directly before", "其前紧接 {count} 个缺失值")


def explain_rule(
    rule: str, scope: Scope, value: float, z: float, *, chart: Chart, settings: MultiruleQc,
    language: Language,
) -> str:  # fmt: skip
    """Explain why a rule fired.

    Args:
        rule: name of a rule that fired.
        scope: where it fired.
        value: the observation that completed it.
        z: its distance from the centre line in SD.
        chart: the version that judged it.
        settings: the settings in force.
        language: "en" or "zh".

    Raises:
        KeyError: there is no rule of that name.
    """
    k, entry = _column(language), BY_NAME[rule]
    words = entry.text[k].format(
        value=quantity(value, chart.unit),
        centre=quantity(chart.centre, chart.unit),
        z=f"{z:.3g}",
        where=SCOPE_TITLES[scope][k],
        reading=_R_4S[settings.r_4s][k],
    )
    return f"{entry.title[k]}: {words}" if language == "en" else f"{entry.title[k]}：{words}"


def explain_observation(
    judged: Judged, k: int, value: float, chart: Chart, settings: MultiruleQc, language: Language
) -> list[str]:  # fmt: skip
    """Explain all that was said of observation `k`: rules that fired, gaps before it, rules not evaluated.

    Arguments as of `explain_rule`; `judged` holds what the monitor said.
    """
    column, z = _column(language), float(judged.z[k])
    lines = [
        explain_rule(rule, scope, value, z, chart=chart, settings=settings, language=language)
        for rule, scope in judged.fired(k)
    ]
    missing = int(judged.missing_before[k])
    if missing:
        lines.append(_GAP[column].format(count=missing))
    for row, scope in enumerate(SCOPES):
        for name in names_of(int(judged.unevaluated[row, k])):
            rule = BY_NAME[name]
            where = SCOPE_TITLES[scope][column]
            lines.append(_TOO_FEW[column].format(title=rule.title[column], where=where, points=rule.points))
    return lines


def _column(language: Language) -> int:
    return 0 if language == "en" else 1
