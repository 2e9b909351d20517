"""The books as imported: typed columns that we rely on, and the documents behind them.

Amounts are integers in minor units. `…_minor` is in the document's currency, `…_acc_minor` in
the connection's accounting currency, converted with the rate that the document carries. Dates
are business days of the company. `external_id` is unique only within a connection.

An import pays for each key and index with every row, so there are no more than needed. Keys to
other tables of a tenant have no plain constraint: the composite one that `SecureTables` adds says
the same and more. None has an index of its own where another begins with tenant and key.
"""

from __future__ import annotations

from django.db import models

from calqsync.tenancy.models import Tenant
from calqsync.tenancy.owned import TenantOwned, public_id_field
from integrations.models.connections import Connection


class OfConnection(TenantOwned):
    """A row of one connection's books."""

    # The key (tenant, connection) leads to the connection, whose own key leads to the tenant.
    tenant = models.ForeignKey(
        Tenant, models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    connection = models.ForeignKey(
        Connection, models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )

    class Meta(TenantOwned.Meta):
        abstract = True


class Imported(OfConnection):
    """A row that mirrors one thing in the accounting system."""

    public_id = public_id_field()
    external_id = models.CharField(max_length=60)
    # A complete run no longer saw it; cleared when it comes back.
    removed_at = models.DateTimeField(null=True)

    class Meta(OfConnection.Meta):
        abstract = True


class RawDocument(OfConnection):
    """What the accounting system said, compressed and encrypted, with the hash of the original."""

    stream = models.CharField(max_length=12)
    external_id = models.CharField(max_length=60)
    sha256 = models.BinaryField()
    body = models.BinaryField()

    class Meta(OfConnection.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "stream", "external_id"], name="raw_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.external_id}"


class Customer(Imported):
    """A business partner of type customer, or a payer known only from invoices.

    `identity` is what makes it one customer within its connection: the partner id, else the
    business id, the customer number or the normalised name of the invoices' counterparty.
    """

    identity = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    sort_key = models.CharField(max_length=250)
    business_id = models.CharField(max_length=60, blank=True)
    customer_number = models.CharField(max_length=60, blank=True)
    country = models.CharField(max_length=60, blank=True)
    city = models.CharField(max_length=80, blank=True)
    email = models.CharField(max_length=256, blank=True)
    group = models.CharField(max_length=80, blank=True)
    active = models.BooleanField(default=True)

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "identity"], name="customer_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="customer_public_id"),
        ]
        indexes = [models.Index(fields=["tenant", "sort_key", "id"], name="customer_by_name")]

    def __str__(self) -> str:
        return self.name


class Product(Imported):
    code = models.CharField(max_length=60, blank=True)
    name = models.CharField(max_length=200)
    sort_key = models.CharField(max_length=250)
    unit = models.CharField(max_length=30, blank=True)
    price = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, blank=True)
    vat_percent = models.DecimalField(max_digits=7, decimal_places=4, null=True)
    group = models.CharField(max_length=80, blank=True)
    active = models.BooleanField(default=True)

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="product_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="product_public_id"),
        ]
        indexes = [models.Index(fields=["tenant", "sort_key", "id"], name="product_by_name")]

    def __str__(self) -> str:
        return self.name


class Invoice(Imported):
    """A sales invoice or credit note. `issued` tells whether it is a business transaction."""

    # Of the statuses, which are kept as they came: those that leave nothing open, and those that
    # take the document back.
    SETTLED = ("PAID", "MARKED_PAID")
    VOID = ("INVALIDATED", "DELETED")
    PART_PAID = "PARTLY_PAID"

    customer = models.ForeignKey(
        Customer, models.CASCADE, null=True, related_name="+", db_index=False, db_constraint=False
    )
    customer_identity = models.CharField(max_length=200)
    customer_name = models.CharField(max_length=200)
    number = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=40)
    issued = models.BooleanField()
    is_credit = models.BooleanField(default=False)
    date = models.DateField()
    due_date = models.DateField(null=True)
    currency = models.CharField(max_length=3)
    # Foreign units per one unit of the accounting currency, as the document says.
    rate = models.DecimalField(max_digits=20, decimal_places=10)
    net_minor = models.BigIntegerField()
    vat_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    net_acc_minor = models.BigIntegerField()
    vat_acc_minor = models.BigIntegerField()
    total_acc_minor = models.BigIntegerField()
    # Half-open: the first day and the day after the last one.
    delivery_start = models.DateField(null=True)
    delivery_end = models.DateField(null=True)
    version = models.CharField(max_length=40, blank=True)

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="invoice_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="invoice_public_id"),
        ]
        indexes = [
            models.Index(fields=["tenant", "-date", "-id"], name="invoice_newest"),
            models.Index(fields=["tenant", "customer", "-date"], name="invoice_of_customer"),
        ]

    def __str__(self) -> str:
        return self.number or self.external_id


class InvoiceLine(OfConnection):
    """One invoice row; its position is its identity within the invoice."""

    invoice = models.ForeignKey(
        Invoice, models.CASCADE, related_name="lines", db_index=False, db_constraint=False
    )
    position = models.PositiveIntegerField()
    product = models.ForeignKey(
        Product,
        models.SET_NULL,
        null=True,
        related_name="lines",
        db_index=False,
        db_constraint=False,
    )
    product_external_id = models.CharField(max_length=60, blank=True)
    product_code = models.CharField(max_length=60, blank=True)
    name = models.CharField(max_length=300)
    text = models.TextField(blank=True)
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    unit = models.CharField(max_length=30, blank=True)
    unit_price = models.DecimalField(max_digits=22, decimal_places=8)
    discount_percent = models.DecimalField(max_digits=9, decimal_places=4)
    vat_percent = models.DecimalField(max_digits=7, decimal_places=4)
    net_minor = models.BigIntegerField()
    net_acc_minor = models.BigIntegerField()
    start = models.DateField(null=True)
    # Half-open: the day after the last one.
    end = models.DateField(null=True)

    class Meta(OfConnection.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "invoice", "position"], name="invoice_line_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "product"], name="line_of_product")]

    def __str__(self) -> str:
        return self.name


class Payment(Imported):
    """Money or a write-off against an invoice, in the accounting currency."""

    # Of the kinds, which are kept as they came: what is written off.
    CREDIT_LOSS = "CREDITLOSS"

    invoice = models.ForeignKey(
        Invoice,
        models.CASCADE,
        null=True,
        related_name="payments",
        db_index=False,
        db_constraint=False,
    )
    invoice_external_id = models.CharField(max_length=60)
    date = models.DateField()
    amount_acc_minor = models.BigIntegerField()
    paid_minor = models.BigIntegerField()
    paid_currency = models.CharField(max_length=3)
    status = models.CharField(max_length=40, blank=True)
    # The event type where it is known; blank means plain money.
    kind = models.CharField(max_length=40, blank=True)
    is_cash = models.BooleanField(default=True)

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="payment_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="payment_public_id"),
        ]
        indexes = [
            models.Index(fields=["tenant", "invoice"], name="payment_of_invoice"),
            models.Index(fields=["tenant", "-date", "-id"], name="payment_newest"),
        ]

    def __str__(self) -> str:
        return self.external_id


class BankAccount(Imported):
    iban = models.CharField(max_length=40)
    bank_name = models.CharField(max_length=120, blank=True)
    currency = models.CharField(max_length=3)
    active = models.BooleanField(default=True)

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="bank_account_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="bank_account_public_id"),
        ]

    def __str__(self) -> str:
        return self.iban


class BankStatement(Imported):
    """What one account held at the start and the end of some days (both inclusive)."""

    iban = models.CharField(max_length=40)
    start = models.DateField()
    end = models.DateField()
    currency = models.CharField(max_length=3)
    start_minor = models.BigIntegerField()
    end_minor = models.BigIntegerField()

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="bank_statement_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "iban", "end"], name="statement_by_day")]

    def __str__(self) -> str:
        return f"{self.iban} {self.end}"


class BankEvent(Imported):
    """One movement on an account; deposits positive, withdrawals negative."""

    statement = models.ForeignKey(
        BankStatement, models.CASCADE, related_name="events", db_constraint=False
    )
    statement_external_id = models.CharField(max_length=60)
    iban = models.CharField(max_length=40)
    date = models.DateField()
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    counterparty = models.CharField(max_length=200, blank=True)
    counterparty_iban = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=500, blank=True)
    invoice_external_id = models.CharField(max_length=60, blank=True)

    class Meta(Imported.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="bank_event_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "iban", "date"], name="event_by_day")]

    def __str__(self) -> str:
        return self.external_id


class ErasedContact(TenantOwned):
    """A person whose data were erased from the books, so that no import brings them back.

    `mark` is a hash, under the tenant's key, of one thing that a document could name them by.
    """

    mark = models.CharField(max_length=64)
    # Under which neutral name documents show them.
    tag = models.CharField(max_length=12)
    erased_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "mark"], name="erased_contact_once")
        ]

    def __str__(self) -> str:
        return self.tag
