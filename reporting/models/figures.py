"""What the engine made of each thing in the books, as last published."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.owned import TenantOwned, public_id_field
from integrations.models import BankEvent, Customer, Invoice, InvoiceLine, Product
from reporting.models.words import SubscriptionDecision


class Subscription(TenantOwned):
    """One customer's stream of one product in one currency, as last published."""

    public_id = public_id_field()
    key = models.CharField(max_length=400)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    product = models.ForeignKey(Product, models.SET_NULL, null=True, related_name="+")
    product_name = models.CharField(max_length=300)
    currency = models.CharField(max_length=3)
    # -1 weekly, -2 every two weeks, else months.
    period_months = models.SmallIntegerField()
    first_start = models.DateField()
    last_end = models.DateField()
    mrr_e4 = models.BigIntegerField()
    status = models.CharField(
        max_length=10,
        choices=[
            ("active", _("Active")),
            ("late", _("Late")),
            ("churned", _("Ended")),
            ("future", _("Not started")),
            ("paused", _("Paused")),
            ("detected", _("To review")),
            ("rejected", _("Rejected")),
        ],
    )
    counted = models.BooleanField()
    confirmed = models.BooleanField()
    confidence = models.CharField(max_length=10)
    reason = models.CharField(max_length=30)
    reason_params = models.JSONField(default=dict)
    line_count = models.PositiveIntegerField(default=0)
    # 0 to 100: how sure detection is; and every reason, surest first: {"code", "params"}.
    score = models.PositiveSmallIntegerField(default=0, db_default=0)
    evidence = models.JSONField(default=list, db_default=[])
    renewal_percent = models.PositiveSmallIntegerField(default=100, db_default=100)
    # Of its lines, as `domain.flaws` counts them.
    gaps = models.PositiveIntegerField(default=0, db_default=0)
    overlaps = models.PositiveIntegerField(default=0, db_default=0)
    guessed = models.PositiveIntegerField(default=0, db_default=0)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key"], name="subscription_once"),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="subscription_public_id"),
        ]
        indexes = [
            models.Index(fields=["tenant", "customer"], name="subscription_of_customer"),
            models.Index(
                fields=["tenant", "-mrr_e4"],
                condition=models.Q(gaps__gt=0) | models.Q(overlaps__gt=0) | models.Q(guessed__gt=0),
                name="subscription_with_flaws",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @classmethod
    def open_to_review(cls) -> models.Q:
        """Those on which nobody decided, neither when the figures were made nor since."""
        decided = SubscriptionDecision.objects.exclude(verdict="", merged_into="").values("key")
        return models.Q(confirmed=False) & ~models.Q(status="rejected") & ~models.Q(key__in=decided)


class LineFigure(TenantOwned):
    """What the engine made of one invoice line: type, period, and its share of MRR.

    The largest table of this room: its foreign keys are the composite ones alone, with the
    indexes that begin with the tenant.
    """

    line = models.ForeignKey(
        InvoiceLine, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    customer = models.ForeignKey(
        Customer, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    subscription = models.ForeignKey(
        Subscription,
        models.SET_NULL,
        null=True,
        related_name="line_figures",
        db_constraint=False,
        db_index=False,
    )
    type = models.CharField(max_length=12)
    start = models.DateField(null=True)
    end = models.DateField(null=True)
    source = models.CharField(max_length=16)
    confidence = models.CharField(max_length=10)
    reason = models.CharField(max_length=30)
    reason_params = models.JSONField(default=dict)
    counted = models.BooleanField()
    late = models.BooleanField(default=False)
    # The line stands in the snapshots of the months from_month <= month < to_month.
    from_month = models.IntegerField(null=True)
    to_month = models.IntegerField(null=True)
    mrr_e4 = models.BigIntegerField(default=0)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "line"], name="line_figure_once")]
        indexes = [
            models.Index(fields=["tenant", "from_month", "to_month"], name="line_in_month"),
            models.Index(fields=["tenant", "subscription"], name="line_of_subscription"),
            models.Index(fields=["tenant", "customer"], name="line_of_customer"),
            models.Index(
                fields=["tenant"],
                condition=models.Q(reason="credit_unmatched"),
                name="line_of_lone_credit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.mrr_e4}"


class CustomerFigure(TenantOwned):
    """One customer's MRR by month and what else its row in lists shows."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="figures")
    first_month = models.IntegerField()
    # MRR at each month's snapshot from first_month on, after the floor at 0.
    mrr_e4 = ArrayField(models.BigIntegerField(), default=list)
    # The part of each month's change that is only a change of exchange rates.
    fx_e4 = ArrayField(models.BigIntegerField(), default=list)
    # What each month's change is called: numbers of domain.movements.Movement.
    moves = ArrayField(models.SmallIntegerField(), default=list)
    mrr_now_e4 = models.BigIntegerField(default=0)
    invoiced_minor = models.BigIntegerField(default=0)
    open_minor = models.BigIntegerField(default=0)
    overdue_minor = models.BigIntegerField(default=0)
    # Invoiced and not yet recognised on the report's day, by the tenant's method.
    deferred_minor = models.BigIntegerField(default=0, db_default=0)
    subscriptions = models.PositiveIntegerField(default=0)
    first_invoice = models.DateField(null=True)
    last_invoice = models.DateField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "customer"], name="customer_figure_once")
        ]
        indexes = [models.Index(fields=["tenant", "-mrr_now_e4"], name="customer_by_mrr")]

    def __str__(self) -> str:
        return str(self.mrr_now_e4)


class InvoiceFigure(TenantOwned):
    """One invoice that counts: what is open on it, and when its money may be expected."""

    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="figures")
    paid_minor = models.BigIntegerField(default=0)
    written_off_minor = models.BigIntegerField(default=0)
    open_minor = models.BigIntegerField(default=0)
    due = models.DateField(null=True)
    expected = models.DateField(null=True)
    # not_due, up_to_30, up_to_60, up_to_90, over_90; blank when settled.
    age = models.CharField(max_length=10, blank=True)
    recurring_minor = models.BigIntegerField(default=0)
    deferred_minor = models.BigIntegerField(default=0, db_default=0)
    # As it was counted: its month, and its lines' net, so that a change of either can be told.
    month = models.IntegerField(null=True)
    net_minor = models.BigIntegerField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "invoice"], name="invoice_figure_once")
        ]
        indexes = [
            models.Index(
                fields=["tenant", "age"], condition=~models.Q(age=""), name="open_invoice_by_age"
            )
        ]

    def __str__(self) -> str:
        return str(self.open_minor)


class CashFigure(TenantOwned):
    """What the engine made of one bank event."""

    event = models.ForeignKey(BankEvent, models.CASCADE, related_name="+")
    # operating, financing, own_transfer
    kind = models.CharField(max_length=14)
    amount_minor = models.BigIntegerField()
    month = models.IntegerField()
    # A large deposit that may be financing and waits for a person's word.
    proposed = models.BooleanField(default=False)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "event"], name="cash_figure_once")]
        indexes = [models.Index(fields=["tenant", "month"], name="cash_by_month")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_minor}"
