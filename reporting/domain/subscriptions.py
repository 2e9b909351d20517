"""From judged lines to subscriptions: what counts when, lateness, status."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import NO_DAY, Flags, Ints, as_int64
from reporting.domain.cadence import DAY_SPAN
from reporting.domain.chains import Chains
from reporting.domain.choices import Confidence, Settings, SubscriptionKey
from reporting.domain.draft import Draft
from reporting.domain.findings import (
    Findings,
    LineType,
    Source,
    Status,
    Subscriptions,
    Sure,
    Why,
)
from reporting.domain.lines import Lines, product_refs
from reporting.domain.mrr import line_mrr
from reporting.domain.periods import day_number, month_of
from reporting.domain.said import Said
from reporting.domain.switches import REPLACED_DAYS, replaced

SURE_OF = {Confidence.LOW: Sure.LOW, Confidence.MEDIUM: Sure.MEDIUM, Confidence.HIGH: Sure.HIGH}
_PERIODS = 1024


def finish(
    lines: Lines,
    draft: Draft,
    chains: Chains,
    said: Said,
    settings: Settings,
    cancelled: Flags,
    unpaid_until: Ints,
) -> tuple[Findings, Subscriptions]:
    """Which lines count when, and the subscriptions with their state on `as_of`.

    A line counts on no day from `unpaid_until` on.
    """
    as_of = day_number(settings.as_of)
    candidate = draft.type == LineType.SUBSCRIPTION
    rejected = said.rejected[draft.chain]
    service = candidate & ~rejected
    counted = service & (draft.sure >= SURE_OF[settings.threshold])
    life = _life(draft, chains, candidate & (lines.net >= 0), ~cancelled)
    late_chain = _late(life, chains, said, settings, as_of)
    charges = counted & (lines.net > 0) & ~cancelled & (unpaid_until > as_of)
    charges &= (draft.start <= as_of) & (draft.start < draft.end)
    late_chain &= ~replaced(lines, draft, chains, charges, life.last_end, late_chain)
    late = service & late_chain[draft.chain] & (draft.end == life.last_end[draft.chain])
    late &= (draft.end > draft.start) & (unpaid_until > as_of)
    stop = np.maximum(np.where(late, as_of + 1, draft.end), draft.start)
    stop = np.clip(unpaid_until, draft.start, stop)
    from_month, to_month = snapshot_months(draft.start, stop, as_of, service)
    running = int(month_of(as_of))
    now = service & (from_month <= running) & (running < to_month)
    shown = candidate & life.alive[draft.chain]
    number = np.cumsum(life.alive) - 1
    findings = Findings(
        type=np.where(rejected & candidate, LineType.ONE_OFF, draft.type).astype(np.int8),
        start=np.where(service, draft.start, NO_DAY),
        end=np.where(service, draft.end, NO_DAY),
        months_num=np.where(service, draft.num, 1),
        months_den=np.where(service, draft.den, 1),
        source=np.where(service, draft.source, Source.NONE).astype(np.int8),
        confidence=draft.sure.astype(np.int8),
        why=np.where(rejected & candidate, Why.USER_REJECTED, draft.why).astype(np.int8),
        why_a=draft.a,
        why_b=draft.b,
        subscription=np.where(shown, number[draft.chain], -1),
        counted=counted,
        late=late & counted,
        paused=counted & _stops(draft, said, service & (lines.net > 0) & ~cancelled),
        ending=counted & (said.end[draft.chain] != NO_DAY),
        cancelled=cancelled,
        from_month=np.where(counted, from_month, 0),
        to_month=np.where(counted, to_month, 0),
        word_names=draft.word_names,
    )
    mrr = np.zeros(chains.count, dtype=np.int64)
    amount = line_mrr(lines.net_acc, findings.months_num, findings.months_den)
    any_counted = np.zeros(chains.count, dtype=np.bool_)
    any_counted[draft.chain[counted & (lines.net >= 0)]] = True
    # A chain shows what it counts; one that waits for review, what it would count.
    now &= counted | ~any_counted[draft.chain]
    np.add.at(mrr, draft.chain[now], amount[now])
    later = np.zeros(chains.count, dtype=np.bool_)
    later[draft.chain[service & (draft.start > as_of)]] = True
    status = _states(mrr, any_counted, late_chain, later, said)
    return findings, _table(lines, draft, chains, said, findings, life, mrr, status, any_counted)


def _states(mrr: Ints, counted: Flags, late: Flags, later: Flags, said: Said) -> Ints:
    state = np.full(len(mrr), Status.CHURNED, dtype=np.int64)
    state[later] = Status.FUTURE
    state[mrr > 0] = Status.ACTIVE
    state[late & (mrr > 0)] = Status.LATE
    state[said.paused & (mrr <= 0)] = Status.PAUSED
    state[~counted] = Status.DETECTED
    state[said.rejected] = Status.REJECTED
    return state


def snapshot_months(start: Ints, end: Ints, as_of: int, counted: Flags) -> tuple[Ints, Ints]:
    """Month indexes [from, to) in whose snapshots a period stands.

    A snapshot is the month's last day, or `as_of` in the running month.
    """
    running = int(month_of(as_of))
    first, after = month_of(np.where(counted, start, 0)), month_of(np.where(counted, end, 0))
    first = np.where((first == running) & (start > as_of), running + 1, first)
    after = np.where((after == running) & (end > as_of), running + 1, after)
    return np.where(counted, first, 0), np.where(counted, np.maximum(after, first), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """Per chain."""

    alive: Flags
    """It has at least one subscription line that is not a credit."""
    first_start: Ints
    last_end: Ints
    stands: Flags
    """Something of it was not taken back."""
    period: Ints


def _life(draft: Draft, chains: Chains, lasting: Flags, standing: Flags) -> _Life:
    """The span of each chain's lines; a line that was taken back speaks only where alone."""
    rows = np.flatnonzero(lasting)
    chain = draft.chain[rows]
    alive = np.zeros(chains.count, dtype=np.bool_)
    alive[chain] = True
    first_start = np.full(chains.count, DAY_SPAN - 1, dtype=np.int64)
    np.minimum.at(first_start, chain, draft.start[rows])
    # The largest key names the last end of a standing line and that line's period.
    key = (standing[rows] * DAY_SPAN + draft.end[rows]) * _PERIODS + draft.nominal[rows] + 2
    last = np.zeros(chains.count, dtype=np.int64)
    np.maximum.at(last, chain, key)
    end, period = np.divmod(last, _PERIODS)
    return _Life(
        alive=alive,
        first_start=first_start,
        last_end=np.where(alive, end % DAY_SPAN, NO_DAY),
        stands=alive & (end >= DAY_SPAN),
        period=np.where(alive, period - 2, 0),
    )


def _late(life: _Life, chains: Chains, said: Said, settings: Settings, as_of: int) -> Flags:
    """Chains whose last period has ended and whose next invoice is still awaited."""
    grace = np.zeros(chains.count, dtype=np.int64)
    for period, days in settings.grace_days.items():
        grace[life.period == period] = days
    waiting = life.stands & (life.last_end <= as_of) & (as_of <= life.last_end + grace)
    waiting &= (said.end == NO_DAY) & ~said.paused & ~said.rejected & (life.last_end != NO_DAY)
    beside = np.flatnonzero(waiting & (chains.band != 0))
    if beside.size:
        starts = np.sort(chains.group_of_chain * DAY_SPAN + life.first_start)
        group = chains.group_of_chain[beside] * DAY_SPAN
        low = np.searchsorted(starts, group + life.last_end[beside] - REPLACED_DAYS)
        high = np.searchsorted(starts, group + as_of, side="right")
        waiting[beside] = high <= low
    return waiting


def _stops(draft: Draft, said: Said, standing: Flags) -> Flags:
    """The last lines before each stretch without service of a subscription marked as paused.

    It stays a pause when service has begun again, so that neither end of it is churn or a return.
    """
    found = np.zeros(len(standing), dtype=np.bool_)
    for chain in np.flatnonzero(said.paused).tolist():
        rows = np.flatnonzero(draft.chain == chain)
        spans = sorted(
            (int(draft.start[row]), int(draft.end[row])) for row in rows[standing[rows]].tolist()
        )
        ends, reached = [], NO_DAY
        for start, end in spans:
            if NO_DAY < reached < start - REPLACED_DAYS:
                ends.append(reached)
            reached = max(reached, end)
        found[rows] = np.isin(draft.end[rows], [*ends, reached])
    return found


def _table(
    lines: Lines,
    draft: Draft,
    chains: Chains,
    said: Said,
    findings: Findings,
    life: _Life,
    mrr: Ints,
    status: Ints,
    counted: Flags,
) -> Subscriptions:
    kept = np.flatnonzero(life.alive)
    member = np.flatnonzero(findings.subscription >= 0)
    key = findings.subscription[member] * DAY_SPAN + draft.start[member]
    order = member[np.lexsort((lines.place[member], lines.invoice_day[member], key))]
    owner = findings.subscription[order]
    # Of the surest lines the last one speaks: a later assignment replaces an earlier one.
    positive = lines.net[order] >= 0
    surest = np.zeros(len(kept), dtype=np.int64)
    np.maximum.at(surest, owner[positive], draft.sure[order[positive]])
    speaks = positive & (draft.sure[order] == surest[owner])
    best = np.zeros(len(kept), dtype=np.int64)
    best[owner[speaks]] = order[speaks]
    first = chains.first_line[kept]
    return Subscriptions(
        customer_id=lines.customer_id[first],
        product_key=as_int64(lines.product_key[first]),
        currency=as_int64(lines.currency[first]),
        band=chains.band[kept],
        period=life.period[kept],
        first_start=life.first_start[kept],
        last_end=life.last_end[kept],
        mrr_e4=mrr[kept],
        status=status[kept].astype(np.int8),
        counted=counted[kept],
        confirmed=said.confirmed[kept] | (draft.why[best] == Why.USER_MARK),
        confidence=draft.sure[best].astype(np.int8),
        best_line=best,
        line_order=order,
        line_from=np.searchsorted(owner, np.arange(len(kept) + 1)),
        own=_own_keys(chains, kept),
        product_refs=product_refs(lines),
        currencies=lines.currencies,
        findings=findings,
    )


def _own_keys(chains: Chains, kept: NDArray[np.intp]) -> tuple[SubscriptionKey | None, ...]:
    if not chains.own:
        return ()
    others = chains.count - len(chains.own)
    return tuple(chains.own[row - others] if row >= others else None for row in kept.tolist())
