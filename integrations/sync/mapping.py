"""From Procountor's records to the rows of the books: the one place where both words meet.

Pure functions. Each gives the row of one table, or raises Unusable with the reason for the
run's report.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from integrations.procountor import records
from integrations.procountor.text import stamp
from integrations.procountor.vocabulary import (
    BUSINESS_STATUSES,
    CREDIT_LOSS,
    KNOWN_STATUSES,
    SALES_INVOICE,
)
from integrations.sync.rows import (
    BankAccountRow,
    BankEventRow,
    BankStatementRow,
    CustomerRow,
    InvoiceRow,
    LineRow,
    MappedInvoice,
    PaymentRow,
    ProductRow,
)
from integrations.sync.values import (
    ONE,
    Unusable,
    bounded,
    clean,
    converted,
    currency_code,
    half_open,
    iban,
    minor,
    normalised,
    plausible,
    sort_key,
)

ZERO, HUNDRED = Decimal(0), Decimal(100)

# Events that close a receivable without money.
NOT_CASH = frozenset(
    {
        CREDIT_LOSS,
        "ADJUSTMENT",
        "CASHDISCOUNT",
        "COMPENSATIONINVOICE",
        "CORRECTION",
        "INVOICE_TO_INVOICE",
        "INVOICE_TO_JOURNAL",
        "JOURNAL_TO_INVOICE",
        "JOURNAL_TO_JOURNAL",
        "SETOFF",
    }
)


# Registers


def customer(record: records.Partner) -> CustomerRow:
    """A business partner of the register."""
    place = record.billing_address or record.address or records.Address()
    invoicing = record.invoicing_info or records.PartnerInvoicing()
    registry = record.registry_info or records.PartnerRegistry()
    extra = record.additional_info or records.PartnerExtra()
    name = clean(record.name, 200) or clean(place.name, 200) or "?"
    return CustomerRow(
        identity=f"p:{record.id}",
        external_id=str(record.id),
        name=name,
        sort_key=sort_key(name),
        business_id=clean(invoicing.identifier, 60),
        customer_number=clean(invoicing.customer_number, 60),
        country=clean(place.country, 60),
        city=clean(place.city, 80),
        email=clean(invoicing.email, 256),
        group=clean(registry.report_group or extra.group, 80),
        active=registry.active is not False,
    )


def product(record: records.Product) -> ProductRow:
    name = clean(record.name, 200) or clean(record.code, 60) or "?"
    return ProductRow(
        external_id=str(record.id),
        code=clean(record.code, 60),
        name=name,
        sort_key=sort_key(name),
        unit=clean(record.unit, 30),
        price=bounded(record.price, 14, "price"),
        currency=clean(record.currency, 3),
        vat_percent=bounded(record.vat, 3, "VAT percent"),
        group="" if record.product_group_id is None else str(record.product_group_id),
        active=record.active is not False,
    )


# Invoices


def invoice(record: records.Invoice, *, home: str) -> MappedInvoice:
    """A sales invoice or credit note; `home` is the company's accounting currency."""
    payment = record.payment_info
    if record.status not in KNOWN_STATUSES:
        raise Unusable(f"an unknown status {record.status[:40]!r}")
    currency = currency_code(payment.currency)
    nets = [_line_net(record, row, currency) for row in record.invoice_rows]
    own, accounting = _sums(record, currency)
    if own is None:
        net, vat = sum(nets), _vat(record, currency)
        total = net + vat
    else:
        net, vat = minor(own.excluding_vat_total, currency), minor(own.vat_sum_total, currency)
        total = minor(own.invoice_sum_total, currency)
    nets = _closed(nets, net)
    rate = _rate(payment.currency_rate, currency, home, own, accounting)
    if accounting is not None and accounting is own:
        net_acc, vat_acc, total_acc = net, vat, total
    elif accounting is not None:
        acc = currency_code(accounting.currency)
        net_acc = minor(accounting.excluding_vat_total, acc)
        vat_acc = minor(accounting.vat_sum_total, acc)
        total_acc = minor(accounting.invoice_sum_total, acc)
    else:
        total_acc = converted(total, currency, home, rate)
        net_acc = converted(net, currency, home, rate)
        vat_acc = total_acc - net_acc
    to_acc = accounting.currency if accounting is not None else home
    nets_acc = _closed([converted(each, currency, to_acc, rate) for each in nets], net_acc)
    payer = _payer(record)
    delivery = half_open(record.delivery_start_date, record.delivery_end_date)
    row = InvoiceRow(
        external_id=str(record.id),
        customer_identity=payer.identity,
        customer_name=payer.name,
        number=clean(_number(record), 40),
        status=clean(record.status, 40),
        issued=record.type == SALES_INVOICE
        and record.status in BUSINESS_STATUSES
        and not record.is_offer,
        is_credit=total < 0,
        date=plausible(record.date),
        due_date=plausible(payment.new_due_date or payment.due_date),
        currency=currency,
        rate=rate,
        net_minor=net,
        vat_minor=vat,
        total_minor=total,
        net_acc_minor=net_acc,
        vat_acc_minor=vat_acc,
        total_acc_minor=total_acc,
        delivery_start=delivery[0],
        delivery_end=delivery[1],
        version=stamp(record.version).isoformat() if record.version else "",
    )
    return MappedInvoice(row, _lines(record, row.external_id, nets, nets_acc), payer)


def _lines(
    record: records.Invoice, external_id: str, nets: Sequence[int], nets_acc: Sequence[int]
) -> tuple[LineRow, ...]:
    lines = []
    for position, row in enumerate(record.invoice_rows):
        start, end = half_open(row.start_date, row.end_date)
        texts = (row.header_text, row.comment, row.explanation_text)
        lines.append(
            LineRow(
                invoice_external_id=external_id,
                position=position,
                product_external_id="" if row.product_id is None else str(row.product_id),
                product_code=clean(row.product_code, 60),
                name=clean(row.product, 300),
                text="\n".join(filter(None, [clean(text, 2000) for text in texts if text])),
                quantity=bounded(row.quantity, 14, "quantity") or ZERO,
                unit=clean(row.unit, 30),
                unit_price=bounded(row.unit_price, 14, "unit price") or ZERO,
                discount_percent=bounded(row.discount_percent, 5, "discount") or ZERO,
                vat_percent=bounded(row.vat_percent, 3, "VAT percent") or ZERO,
                net_minor=nets[position],
                net_acc_minor=nets_acc[position],
                start=start,
                end=end,
            )
        )
    return tuple(lines)


def _line_net(record: records.Invoice, row: records.InvoiceRow, currency: str) -> int:
    """What a row adds without VAT, rounded by itself."""
    amount = row.quantity * row.unit_price
    if row.discount_percent:
        amount *= (HUNDRED - row.discount_percent) / HUNDRED
    if record.discount_percent:
        amount *= (HUNDRED - record.discount_percent) / HUNDRED
    if record.extra_info.unit_prices_include_vat and row.vat_percent:
        amount = amount * HUNDRED / _with_vat(row.vat_percent)
    return minor(amount, currency)


def _with_vat(percent: Decimal) -> Decimal:
    if percent <= -HUNDRED:
        raise Unusable(f"a VAT of {percent} percent")
    return HUNDRED + percent


def _vat(record: records.Invoice, currency: str) -> int:
    """VAT of an invoice without totals: rounded once for each rate."""
    net_by_rate: dict[Decimal, Decimal] = {}
    for row in record.invoice_rows:
        percent = row.vat_percent or ZERO
        amount = row.quantity * row.unit_price
        amount *= (HUNDRED - (row.discount_percent or ZERO)) / HUNDRED
        amount *= (HUNDRED - (record.discount_percent or ZERO)) / HUNDRED
        if record.extra_info.unit_prices_include_vat:
            amount = amount * HUNDRED / _with_vat(percent)
        net_by_rate[percent] = net_by_rate.get(percent, ZERO) + amount
    return sum(minor(net * percent / HUNDRED, currency) for percent, net in net_by_rate.items())


def _closed(parts: list[int], whole: int) -> list[int]:
    """The parts with the difference to the whole on the last one."""
    if not parts:
        if whole:
            raise Unusable("an amount without a single row")
        return parts
    return [*parts[:-1], parts[-1] + whole - sum(parts)]


def _sums(
    record: records.Invoice, currency: str
) -> tuple[records.SumInfo | None, records.SumInfo | None]:
    """The totals in the invoice's currency and those in the accounting currency."""
    own = accounting = None
    for entry in record.invoice_sum_info or ():
        if own is None and entry.currency == currency:
            own = entry
        if accounting is None and entry.in_accounting_currency:
            accounting = entry
    return own, accounting


def _rate(
    stated: Decimal | None,
    currency: str,
    home: str,
    own: records.SumInfo | None,
    accounting: records.SumInfo | None,
) -> Decimal:
    """Units of the invoice's currency for one unit of the accounting currency."""
    if currency == (accounting.currency if accounting is not None else home):
        return ONE
    rate = stated
    if not rate and own and accounting and accounting.invoice_sum_total:
        rate = own.invoice_sum_total / accounting.invoice_sum_total
    if not rate or rate < 0:
        raise Unusable(f"no exchange rate from {currency} to {home}")
    return (bounded(rate, 10, "exchange rate") or ZERO).quantize(Decimal("1e-10"))


def _number(record: records.Invoice) -> str | None:
    if record.invoice_number is not None:
        return str(record.invoice_number)
    return record.original_invoice_number


def _payer(record: records.Invoice) -> CustomerRow:
    """The customer as the document shows it, under the identity that the books use."""
    party = record.counter_party or records.CounterParty()
    place = party.counter_party_address or records.Address()
    name = clean(place.name, 200) or clean(party.contact_person_name, 200) or "?"
    business_id, number = clean(party.identifier, 60), clean(party.customer_number, 60)
    if record.partner_id is not None:
        identity = f"p:{record.partner_id}"
    elif business_id:
        identity = "b:" + re.sub(r"\s", "", business_id).upper()
    elif number:
        identity = f"n:{number}"
    else:
        identity = "t:" + normalised(name)
    return CustomerRow(
        identity=identity[:200],
        external_id="" if record.partner_id is None else str(record.partner_id),
        name=name,
        sort_key=sort_key(name),
        business_id=business_id,
        customer_number=number,
        country=clean(place.country, 60),
        city=clean(place.city, 80),
        email=clean(party.email, 256),
        group="",
        active=True,
    )


# Payments and bank


def payment(record: records.PaymentEvent, *, home: str, kind: str | None = None) -> PaymentRow:
    """A payment event of an invoice. `kind` is its type where another read has told it."""
    if record.invoice_id is None:
        raise Unusable("a payment without its invoice")
    if record.payment_date is None:
        raise Unusable("a payment without a date")
    currency = currency_code(record.paid_currency or home)
    paid = record.amount if record.paid_amount is None else record.paid_amount
    kind = clean(kind or record.type, 40)
    return PaymentRow(
        external_id=str(record.id),
        invoice_external_id=str(record.invoice_id),
        date=plausible(record.payment_date),
        amount_acc_minor=minor(record.amount, home),
        paid_minor=minor(paid, currency),
        paid_currency=currency,
        status=clean(record.status, 40),
        kind=kind,
        is_cash=kind not in NOT_CASH,
    )


def bank_account(record: records.BankAccount) -> BankAccountRow:
    return BankAccountRow(
        external_id=str(record.id),
        iban=iban(record.iban or record.account_number),
        bank_name=clean(record.bank_name, 120),
        currency=currency_code(record.currency),
        active=record.status != "INACTIVE",
    )


def bank_statement(
    record: records.BankStatement,
) -> tuple[BankStatementRow, tuple[BankEventRow, ...]]:
    """A statement and its events: a collective line gives way to the lines inside it."""
    currency = currency_code(record.currency)
    row = BankStatementRow(
        external_id=str(record.id),
        iban=iban(record.account_number),
        start=plausible(record.start_date),
        end=plausible(max(record.start_date, record.end_date)),
        currency=currency,
        start_minor=minor(record.start_balance, currency),
        end_minor=minor(record.end_balance, currency),
    )
    leaves = [leaf for event in record.events or () for leaf in _leaves(event)]
    events = tuple(_bank_event(leaf, row) for leaf in leaves)
    # The sign of a withdrawal is not documented; the balances decide.
    if events and sum(event.amount_minor for event in events) != row.end_minor - row.start_minor:
        raise Unusable("the events do not lead from the first balance to the last")
    return row, events


def _leaves(event: records.BankEvent) -> list[records.BankEvent]:
    children = event.children
    if children and sum(child.sum for child in children) == event.sum:
        return [leaf for child in children for leaf in _leaves(child)]
    return [event]


def _bank_event(record: records.BankEvent, statement: BankStatementRow) -> BankEventRow:
    texts = (record.message, record.reference)
    return BankEventRow(
        external_id=str(record.id),
        statement_external_id=statement.external_id,
        iban=statement.iban,
        date=plausible(record.pay_date or record.value_date or statement.end),
        amount_minor=minor(record.sum, statement.currency),
        currency=statement.currency,
        counterparty=clean(record.name, 200),
        counterparty_iban=iban(record.account_number),
        message=clean(" ".join(filter(None, texts)), 500),
        invoice_external_id="" if record.invoice_id is None else str(record.invoice_id),
    )
