"""Go through the steps of a method with the readings, in order of time, whatever order they arrived in.

A *hold* begins at the first reading within its limits and counts the time between readings that follow one
another within them. It is over when, after its shortest duration, the value leaves. Leaving before is an
interruption: it is noted, and the time outside does not count. A *ramp* begins where the step before it ended
and is over at the first reading within its limits, or, where it has none, within those of the next step. A
*mark* step is what no reading shows: a person marks its beginning. Once a person has marked a step of a task,
marks alone begin and end its steps. Time between two readings further apart than `gap_max_s` is a pause: it
counts for nothing, and never as passed.

Readings wait for two seconds before they are judged, so that those of another instrument can come in between;
the clock is that of the records (`tick`), so that the record alone gives the same outcome again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.steps.rates import note_rate
from pipeline.elements.steps.state import ROWS_MAX, Found, Point, Row, Run

if TYPE_CHECKING:
    from pipeline.elements.registry_shapes import Method, Step
    from pipeline.elements.steps.state import StepsState

SECOND_NS = 1_000_000_000
LATENESS_NS = 2 * SECOND_NS
DISORDER_MAX = 16


def fits(state: StepsState, method: Method) -> bool:
    """Tell whether the method still has the steps with which the task began."""
    return len(state.found) == len(method.steps) and len(state.compared) == len(method.redundant)


def advance(state: StepsState, method: Method, now_run_ns: int) -> None:
    """Judge the readings that are old enough that no earlier one can still arrive."""
    until_ns = now_run_ns - LATENESS_NS
    if len(state.rows) > ROWS_MAX:
        until_ns = now_run_ns
    due = [row for row in state.rows if row.t_run_ns <= until_ns]
    if due:
        state.rows = [row for row in state.rows if row.t_run_ns > until_ns]
        _take_all(state, method, due)


def finish(state: StepsState, method: Method, end_run_ns: int) -> None:
    """Judge what still waits and close the step under way: the task is over."""
    if state.finished:
        return
    due, state.rows = [row for row in state.rows if row.t_run_ns < end_run_ns], []
    _take_all(state, method, due)
    state.finished = True
    run = state.run
    if run is None or state.position >= len(method.steps):
        return
    step = method.steps[state.position]
    end = run.last or Point(end_run_ns, 0.0, run.start_seq)
    # A ramp that never reached its end is not over because the task is; a hold was as long as it was.
    if run.marked:
        _complete(state, step, Point(end_run_ns, end.value, end.seq))
    elif step.kind == "hold":
        _complete(state, step, end)


def _take_all(state: StepsState, method: Method, due: list[Row]) -> None:
    for row in sorted(due, key=lambda row: (row.t_run_ns, row.seq, row.target)):
        if row.t_run_ns < state.through_run_ns:
            state.late += 1
            continue
        state.through_run_ns = row.t_run_ns
        if row.value is None:
            _mark(state, method, row)
            continue
        point = Point(row.t_run_ns, row.value, row.seq)
        _compare(state, method, row.target, point)
        if method.steps:
            _hear(state, row.target, row.t_run_ns)
            _read(state, method, row.target, point)


def _compare(state: StepsState, method: Method, target: str, point: Point) -> None:
    """Compare a reading with the last one of the channel that measures the same."""
    for position, pair in enumerate(state.pairs):
        if target not in pair:
            continue
        compared, rule = state.compared[position], method.redundant[position]
        other = compared.last.get(pair[1] if target == pair[0] else pair[0])
        compared.last[target] = point
        if other is None or point.t_run_ns - other.t_run_ns > rule.age_max_s * SECOND_NS:
            continue
        compared.count += 1
        difference = abs(point.value - other.value)
        if compared.difference_max is None or difference > compared.difference_max:
            compared.difference_max, compared.seq, compared.other_seq = difference, point.seq, other.seq


def _hear(state: StepsState, target: str, t_run_ns: int) -> None:
    """Note a reading of a channel that the step under way requires."""
    run = state.run
    if run is None or target not in state.required[state.position]:
        return
    found = state.found[state.position]
    silence_ns = t_run_ns - run.heard.get(target, run.start_run_ns)
    found.silent[target] = max(silence_ns, found.silent.get(target, 0))
    run.heard[target] = t_run_ns


def _read(state: StepsState, method: Method, target: str, point: Point) -> None:
    """Take a reading of the current step's channel; one that ends a step also counts for the next."""
    for _ in range(len(method.steps) + 1):
        position = state.position
        if position >= len(method.steps) or state.channels[position] != target:
            return
        if not _step(state, method, method.steps[position], point):
            return


def _step(state: StepsState, method: Method, step: Step, point: Point) -> bool:
    """Take a reading for one step; tell whether it ended it, so that the next one sees the reading too."""
    if state.run is None and not _begins(state, method, step, point):
        return False
    run = state.run
    if run is None:
        return False
    low, high = _limits(method, state.position, step)
    inside = _within(point.value, low, high)
    if step.kind == "hold" and not run.marked and not inside and _is_done(run, step):
        _complete(state, step, run.last or point)
        return True
    _count(state.found[state.position], run, step, point, inside=inside)
    if step.kind == "ramp" and not run.marked and inside:
        _complete(state, step, point)
        return True
    return False


def _begins(state: StepsState, method: Method, step: Step, point: Point) -> bool:
    if state.by_marks or step.kind == "mark":
        return False
    if step.kind == "ramp":
        begun = state.previous or point
        low, high = _limits(method, state.position, step)
        if begun is point and _within(point.value, low, high):
            return False  # it has not left where a ramp would end
    elif _within(point.value, step.low, step.high):
        begun = point
    else:
        return False
    state.run = Run(begun.t_run_ns, begun.seq)
    if begun is not point:
        _count(state.found[state.position], state.run, step, begun, inside=True)
    return True


def _limits(method: Method, position: int, step: Step) -> tuple[float | None, float | None]:
    """Limits of a step; a ramp without any goes to those of the next step."""
    if step.kind == "ramp" and step.low is None and step.high is None and position + 1 < len(method.steps):
        following = method.steps[position + 1]
        return following.low, following.high
    return step.low, step.high


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _is_done(run: Run, step: Step) -> bool:
    return run.counted_ns >= round((step.duration_min_s or 0.0) * SECOND_NS)


def _count(found: Found, run: Run, step: Step, point: Point, *, inside: bool) -> None:
    """Add a reading to the step under way."""
    if run.last is None:
        run.first = point
    else:
        apart_ns = point.t_run_ns - run.last.t_run_ns
        if apart_ns > round(step.gap_max_s * SECOND_NS):
            run.paused_ns += apart_ns
            run.points = []
            found.pauses += 1
            found.pause_seq = point.seq if found.pause_seq < 0 else found.pause_seq
        elif step.kind != "hold" or (inside and run.inside):
            run.counted_ns += apart_ns
    if step.kind == "hold" and not inside and (run.inside or run.last is None):
        found.left += 1
        if found.left_value is None:
            found.left_value, found.left_seq = point.value, point.seq
    if found.minimum is None or point.value < found.minimum:
        found.minimum, found.minimum_seq = point.value, point.seq
    if found.maximum is None or point.value > found.maximum:
        found.maximum, found.maximum_seq = point.value, point.seq
    rate = note_rate(run.points, point, round(step.rate_window_s * SECOND_NS))
    if rate is not None and (found.rate_max_per_s is None or rate > found.rate_max_per_s):
        found.rate_max_per_s, found.rate_max_seq = rate, point.seq
    run.last, run.inside = point, inside


def _complete(state: StepsState, step: Step, end: Point) -> None:
    """Close the step under way and go on to the next."""
    run, found = state.run, state.found[state.position]
    if run is None:
        return
    found.passes += 1
    found.marked = found.marked or run.marked
    if found.start_run_ns is None:
        found.start_run_ns, found.start_seq = run.start_run_ns, run.start_seq
    found.end_run_ns, found.end_seq = end.t_run_ns, end.seq
    unseen = state.channels[state.position] is None or (run.marked and step.kind != "hold")
    lasted_ns = end.t_run_ns - run.start_run_ns - run.paused_ns if unseen else run.counted_ns
    if found.shortest_ns is None or lasted_ns < found.shortest_ns:
        found.shortest_ns, found.shortest_seq = lasted_ns, end.seq
    if found.longest_ns is None or lasted_ns > found.longest_ns:
        found.longest_ns, found.longest_seq = lasted_ns, end.seq
    found.paused_ns += run.paused_ns
    _note_mean_rate(found, run, step, end)
    for target in state.required[state.position]:
        silence_ns = end.t_run_ns - run.heard.get(target, run.start_run_ns)
        found.silent[target] = max(silence_ns, found.silent.get(target, 0))
    state.run, state.previous = None, end if state.channels[state.position] is not None else None
    _go_on(state)


def _note_mean_rate(found: Found, run: Run, step: Step, end: Point) -> None:
    apart_ns = end.t_run_ns - run.start_run_ns - run.paused_ns
    if step.kind != "ramp" or run.first is None or apart_ns <= 0:
        return
    rate = abs(end.value - run.first.value) / (apart_ns / SECOND_NS)
    # The mean over a ramp shorter than the window is its rate.
    if found.rate_max_per_s is None:
        found.rate_max_per_s, found.rate_max_seq = rate, end.seq
    if found.rate_min_per_s is None or rate < found.rate_min_per_s:
        found.rate_min_per_s, found.rate_min_seq = rate, end.seq


def _go_on(state: StepsState) -> None:
    state.position += 1
    if state.position == len(state.found) and not state.by_marks:
        state.position = 0
        state.cycle += 1
        if state.cycle > state.cycles:
            state.position = len(state.found)


def _mark(state: StepsState, method: Method, row: Row) -> None:
    """Take a person's mark: the step under way ends, the named one begins."""
    names = [step.name for step in method.steps]
    state.by_marks = True
    expected = state.position + 1 if state.run is not None else state.position
    if state.run is not None:
        last = state.run.last
        value, seq = (0.0, row.seq) if last is None else (last.value, row.seq)
        _complete(state, method.steps[state.position], Point(row.t_run_ns, value, seq))
    if row.target not in names:
        return
    position = names.index(row.target)
    if position != expected % len(names) and len(state.disorder) < DISORDER_MAX:
        state.disorder.append(row.target)
        state.disorder_seqs.append(row.seq)
    state.position = position
    state.run = Run(row.t_run_ns, row.seq, marked=True)
