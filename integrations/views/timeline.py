"""The picture of a run: one bar for each stream and for what came after, as parts of an SVG.

Places are percentages, so that the picture is as wide as the page and its words stay readable.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from integrations.models.runs import RunState
from integrations.selectors import RunView
from integrations.views.words import Words

_ROW, _TOP = 44, 4
# The narrowest bar that can still be seen, in percent.
_THIN = 0.6


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    length: timedelta

    def place(self, at: datetime) -> float:
        return max(0.0, min((at - self.start) / self.length * 100, 100.0))


def timeline(words: Words, view: RunView) -> dict[str, Any]:
    """What run_timeline.html draws: rows with bars, the moment of applying, a scale, a summary."""
    run = view.run
    end = run.finished_at or words.now
    scale = _Scale(run.started_at, max(end - run.started_at, timedelta(seconds=1)))
    rows = [_stream_row(words, view, stream, scale, end) for stream in view.streams]
    if run.applying_at is not None:
        bar = _bar(scale, run.applying_at, end, "apply", open_=view.open)
        took = words.length(end - run.applying_at)
        rows.append({"label": _("Applied at once"), "text": took, "bars": [bar]})
    rows.append(_work_row(words, view))
    for number, row in enumerate(rows):
        row |= {"y_text": _TOP + number * _ROW + 14, "y_bar": _TOP + number * _ROW + 21}
    bottom = _TOP + len(rows) * _ROW
    return {
        "rows": rows,
        "mark": _percent(scale.place(run.applying_at)) if run.applying_at else "",
        "ticks": _ticks(words, scale, end, open_=view.open),
        "y_axis": bottom,
        "y_tick": bottom + 16,
        "height": bottom + 24,
        "summary": _summary(words, view, end),
    }


def _stream_row(
    words: Words, view: RunView, stream: Any, scale: _Scale, end: datetime
) -> dict[str, Any]:
    row: dict[str, Any] = {"label": stream.get_stream_display(), "bars": []}
    if stream.started_at is None:
        return row | {"text": _("Not read yet") if view.open else _("Not read")}
    ended = stream.finished_at
    if ended is not None and ended <= scale.start:
        return row | {"text": _("Read by an earlier import")}
    reading = ended is None and view.open
    took = words.length((ended or end) - max(stream.started_at, scale.start))
    done = words.count(stream.fetched)
    row["bars"] = [_bar(scale, stream.started_at, ended or end, "read", open_=ended is None)]
    if ended is None:
        said = _("%(done)s so far") if reading else _("%(done)s, stopped after %(took)s")
        return row | {"text": said % {"done": done, "took": took}}
    return row | {"text": _("%(done)s in %(took)s") % {"done": done, "took": took}}


def _work_row(words: Words, view: RunView) -> dict[str, Any]:
    """Where the time went: a worker was at it, or none was."""
    length = max(view.length(now=words.now), timedelta(seconds=1))
    # How long a slice was is written down at its end, so a running one counts as at work.
    running = view.state == RunState.RUNNING
    busy = length if running else min(view.busy, length)
    width = busy / length * 100
    bars = [{"kind": "work", "x": _percent(0.0), "width": _percent(width)}] if width >= 0.05 else []
    said = _("%(working)s at work") % {"working": words.length(busy)}
    return {"label": _("Time"), "text": said, "bars": bars}


def _bar(
    scale: _Scale, start: datetime, end: datetime, kind: str, *, open_: bool
) -> dict[str, Any]:
    at, to = scale.place(start), scale.place(end)
    width = max(to - at, _THIN)
    return {
        "kind": f"{kind} is-open" if open_ else kind,
        "x": _percent(min(at, 100 - width)),
        "width": _percent(width),
    }


def _ticks(words: Words, scale: _Scale, end: datetime, *, open_: bool) -> list[dict[str, str]]:
    first = words.time_in(scale.start, scale.start)
    last = _("now") if open_ else words.time_in(end, scale.start)
    if last == first:
        last = _("%(length)s later") % {"length": words.length(end - scale.start)}
    return [
        {"x": "0%", "anchor": "start", "text": first},
        {"x": "100%", "anchor": "end", "text": last},
    ]


def _summary(words: Words, view: RunView, end: datetime) -> str:
    """The picture in one sentence or two, for whoever does not see it."""
    whole = _("%(length)s from start to end.")
    if view.open:
        whole = _("%(length)s from its start to now.")
    parts = [whole % {"length": words.length(view.length(now=words.now))}]
    timed = [
        (stream.get_stream_display(), (stream.finished_at or end) - stream.started_at)
        for stream in view.streams
        if stream.started_at is not None
    ]
    if timed:
        label, took = max(timed, key=lambda one: one[1])
        longest = _("%(stream)s took longest, %(length)s.")
        parts.append(longest % {"stream": label, "length": words.length(took)})
    return " ".join(parts)


def _percent(value: float) -> str:
    # Not in the reader's language: a comma would be no number here.
    return f"{value:.2f}%"
