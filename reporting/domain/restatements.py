"""Why figures of closed months differ from those published before: each change by its causes.

A cause is a document, a person's word or the passing of time, with what it did to one customer's
MRR month by month. Effects of one customer add up to the change of its MRR exactly; movements
and counts of a customer are laid to the effect that weighs most in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from reporting.domain.arrays import Ints, Small, as_int64
from reporting.domain.movements import KINDS, SIGNS, Movement
from reporting.domain.rounding import E4, share_out


class Cause(IntEnum):
    """Names in lower case are the codes of `Restatement.causes`, surest first."""

    CREDIT_NOTE = 0
    LATE_INVOICE = 1
    """A document that was not there before, dated or for service in a closed month."""
    INVOICE_REMOVED = 2
    INVOICE_EDITED = 3
    WORD = 4
    """A person said what a line, a subscription, a product or a customer is."""
    SETTINGS = 5
    OVERDUE = 6
    """Unpaid for longer than the tenant lets an invoice count."""
    GRACE_ENDED = 7
    """The next invoice did not come within the grace: service ended where it was paid for."""
    REREAD = 8
    """The document is the same; detection reads it in another way."""
    ACCOUNT_ADDED = 9
    ACCOUNT_LEFT_OUT = 10
    DOCUMENTS_DELETED = 11
    """Rows, or an account with all of its documents, that are no longer here to be named."""
    ROUNDING = 12
    """No more than a cent moved between figures that are shared out together."""
    EVENT_ADDED = 13
    """A bank event that was not there before, on a day of a closed month."""
    EVENT_REMOVED = 14
    EVENT_EDITED = 15
    STATEMENT_ADDED = 16
    """A bank statement with all of its events."""
    STATEMENT_REMOVED = 17
    BALANCE_STATED = 18
    """The bank states another balance than its statements and events said before."""
    PAID = 19
    """Paid after it had been unpaid for too long: the invoice counts again, from its start."""


# What only follows from something else, where something else is there to follow from.
FOLLOWS = (Cause.OVERDUE, Cause.GRACE_ENDED, Cause.REREAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Customers × months: MRR at each snapshot, fx, and the numbers of `movements.Movement`."""

    mrr: Ints
    fx: Ints
    kind: Small

    @property
    def change(self) -> Ints:
        """What each month's movement amounts to, signed and without fx."""
        before = np.concatenate((np.zeros((len(self.mrr), 1), np.int64), self.mrr[:, :-1]), axis=1)
        return as_int64(self.mrr - before - self.fx)

    def _present(self) -> Ints:
        """1 from the month in which a customer arrives to the one in which it leaves."""
        paused = self.kind == Movement.PAUSE
        resumes = paused & (self.change > 0)
        arrives = np.isin(self.kind, (Movement.NEW, Movement.REACTIVATION)) | resumes
        leaves = (self.kind == Movement.CHURN) | (paused & ~resumes)
        return np.cumsum(arrives.astype(np.int64) - leaves, axis=1)

    def metrics(self) -> dict[str, Ints]:
        """What each customer adds to a month's figure of that name: e4 units, or customers."""
        moved = self.change
        return {
            "mrr": self.mrr,
            **{
                kind.name.lower(): as_int64(np.where(self.kind == kind, moved, 0) * SIGNS[kind])
                for kind in KINDS
            },
            "paused": as_int64(np.where(self.kind == Movement.PAUSE, -moved, 0)),
            "tolerated": as_int64(np.where(self.kind == Movement.TOLERATED, moved, 0)),
            "fx": self.fx,
            "customers": self._present(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What each cause did to one customer: `by_month` in e4 units, months as in `History`."""

    customer: Ints
    """Row of the customer in `History`."""
    cause: Small
    document: Ints
    """An invoice's id; -1 where no single one is meant."""
    said: Ints
    """Which word of a person; -1 for none."""
    by_month: Ints

    @property
    def keys(self) -> Ints:
        """Rows of (cause, document, word)."""
        return np.stack((self.cause.astype(np.int64), self.document, self.said), axis=1)


def followed(
    cause: Small, document: Ints, said: Ints, customer: Ints, group: Ints, weight: Ints
) -> tuple[Small, Ints, Ints]:
    """Cause, document and word of each line, where what follows stands under what it follows from.

    When the awaited invoice comes, the one before it ends at its end: that is the new invoice's
    doing. A line follows the heaviest cause of its `group` (customer and product); one that was
    read anew also any of its customer's.
    """
    cause, document, said = cause.copy(), document.copy(), said.copy()
    leads = np.flatnonzero(~np.isin(cause, FOLLOWS) & (cause != Cause.SETTINGS))
    if not len(leads):
        return cause, document, said
    leads = leads[np.argsort(weight[leads], kind="stable")]
    by_group = dict(zip(group[leads].tolist(), leads.tolist(), strict=True))
    by_customer = dict(zip(customer[leads].tolist(), leads.tolist(), strict=True))
    for row in np.flatnonzero(np.isin(cause, FOLLOWS)).tolist():
        lead = by_group.get(int(group[row]))
        if lead is None and cause[row] == Cause.REREAD:
            lead = by_customer.get(int(customer[row]))
        if lead is not None:
            cause[row], document[row], said[row] = cause[lead], document[lead], said[lead]
    return cause, document, said


def whole(
    effects: Effects, before: History, after: History, floored: Ints, shortened: Ints
) -> Effects:
    """The effects with what is missing, so that each customer's add up to its change.

    `floored` is how much more is added to each customer and month to lift it to 0: it takes from
    what pulled the other way. The rest stood on rows that are gone: of the customer's invoice in
    `shortened`, or of one that is gone too (-1).
    """
    change = after.mrr - before.mrr
    by_month = effects.by_month.copy()
    missing = change - _by_customer(effects.customer, by_month, change.shape) - floored
    rows = np.flatnonzero((missing != 0).any(axis=1))
    bare = np.setdiff1d(np.flatnonzero(floored.any(axis=1)), effects.customer)
    added = np.union1d(rows, bare)
    gone = np.where(shortened[added] < 0, Cause.DOCUMENTS_DELETED, Cause.INVOICE_EDITED)
    result = Effects(
        customer=np.concatenate((effects.customer, added)),
        cause=np.concatenate((effects.cause, gone.astype(np.int8))),
        document=np.concatenate((effects.document, shortened[added])),
        said=np.concatenate((effects.said, np.full(len(added), -1))),
        by_month=np.concatenate((by_month, missing[added])),
    )
    for row, column in zip(*np.nonzero(floored), strict=True):
        own = np.flatnonzero(result.customer == row)
        pull = result.by_month[own, column] * -np.sign(floored[row, column])
        result.by_month[own[int(pull.argmax())], column] += floored[row, column]
    return result


def _by_customer(customer: Ints, by_month: Ints, shape: tuple[int, ...]) -> Ints:
    sums = np.zeros(shape, dtype=np.int64)
    np.add.at(sums, customer, by_month)
    return sums


def by_metric(effects: Effects, before: History, after: History) -> Iterator[tuple[str, Ints]]:
    """Each metric with effects × months, which add up to what its customers changed by."""
    main = _main(effects, before.mrr.shape)
    was, became = before.metrics(), after.metrics()
    yield "mrr", effects.by_month
    for metric in was.keys() - {"mrr"}:
        change = became[metric] - was[metric]
        customers, months = np.nonzero(change)
        amounts = np.zeros_like(effects.by_month)
        place = main[customers, months], months
        np.add.at(amounts, place, change[customers, months])
        yield metric, amounts


def _main(effects: Effects, shape: tuple[int, ...]) -> Ints:
    """The effect that weighs most in each customer's movement of each month.

    A movement lies between two snapshots; one that neither moved follows from the customer's
    whole history, as "new" does that becomes a reactivation.
    """
    size = np.abs(effects.by_month)
    weight = size.copy()
    weight[:, 1:] += size[:, :-1]
    overall = size.sum(axis=1)
    main = np.zeros(shape, dtype=np.int64)
    for month in range(shape[1]):
        order = np.lexsort((overall, weight[:, month]))
        main[effects.customer[order], month] = order
    return main


@dataclass(frozen=True, slots=True)
class Share:
    """One cause's share in minor units, or customers; `rows` counts the documents in it."""

    cause: Cause
    document: int
    said: int
    amount: int
    rows: int = 1


def shares(
    keys: Ints, amounts: Ints, total: int, *, exact: bool, deleted: bool, limit: int
) -> list[Share]:
    """What each cause did to one figure of one month, largest first; they add up to `total`.

    Rows of `keys` are (cause, document, word); `amounts` are in e4 units unless `exact`. Beyond
    `limit` causes the small ones of a kind are one share. `deleted` says that customers are gone
    with all that would tell what they stood for: what nobody else made was theirs.
    """
    moving = np.flatnonzero(amounts)
    named, place = np.unique(keys[moving], axis=0, return_inverse=True)
    sums = np.zeros(len(named), dtype=np.int64)
    np.add.at(sums, place.reshape(-1), amounts[moving])
    unit = 1 if exact else E4
    rest = total * unit - int(sums.sum())
    if rest and deleted:
        named = np.concatenate((named, [[Cause.DOCUMENTS_DELETED, -1, -1]]))
        sums = np.append(sums, rest)
    elif not len(named):
        return [Share(Cause.ROUNDING, -1, -1, total)]
    elif exact:
        sums[int(np.abs(sums).argmax())] += rest
    parts = sums if exact else share_out(sums, total)
    found = [
        Share(Cause(cause), document, said, part)
        for (cause, document, said), part in zip(named.tolist(), parts.tolist(), strict=True)
        if part
    ]
    found.sort(key=lambda one: (-abs(one.amount), one.cause, one.document))
    return found[:limit] + _together(found[limit:])


def _together(rest: list[Share]) -> list[Share]:
    """One share for each kind of cause."""
    kinds: dict[Cause, Share] = {}
    for one in rest:
        known = kinds.get(one.cause, Share(one.cause, -1, -1, 0, 0))
        kinds[one.cause] = Share(one.cause, -1, -1, known.amount + one.amount, known.rows + 1)
    return list(kinds.values())
