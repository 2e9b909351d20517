"""What people decided about the figures, and their acts, to undo them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User
from calqsync.tenancy.owned import TenantOwned, public_id_field
from integrations.models import BankEvent, Customer, InvoiceLine, Product


class ReportSettings(TenantOwned):
    """How a tenant wants its figures; one row a tenant, made with defaults when first read."""

    threshold = models.CharField(
        max_length=10,
        default="high",
        choices=[("high", _("High")), ("medium", _("Medium")), ("low", _("Low"))],
    )
    default_period_months = models.PositiveSmallIntegerField(default=1)
    burn_months = models.PositiveSmallIntegerField(
        default=3, choices=[(n, str(n)) for n in (1, 3, 6, 12)]
    )
    burn_average = models.CharField(
        max_length=10, default="mean", choices=[("mean", _("Average")), ("median", _("Median"))]
    )
    tolerance_bp = models.PositiveIntegerField(default=0)
    reactivation_months = models.PositiveSmallIntegerField(null=True)
    # Days of grace by nominal period where they differ from the default, keyed "1", "12", "-1".
    grace_days = models.JSONField(default=dict, db_default={})
    # A pause is a churn flagged as one, or stands outside churn.
    pause_handling = models.CharField(
        max_length=10,
        default="churn",
        db_default="churn",
        choices=[("churn", _("Counts as churn")), ("excluded", _("Left out of churn"))],
    )
    # What a line discounted by 100 % does to a subscription.
    free_plans = models.CharField(
        max_length=10,
        default="ended",
        db_default="ended",
        choices=[("ended", _("Ends it")), ("kept", _("Keeps it at 0"))],
    )
    # An invoice unpaid this many days after it fell due no longer counts; None: it counts.
    overdue_days = models.PositiveSmallIntegerField(null=True)
    period_view = models.CharField(
        max_length=12,
        default="reclassified",
        db_default="reclassified",
        choices=[
            ("reclassified", _("From the period's own first and last day")),
            ("summed", _("Sum of its months")),
        ],
    )
    recognition = models.CharField(
        max_length=10,
        default="monthly",
        db_default="monthly",
        choices=[("monthly", _("Equal parts a month")), ("daily", _("By the day"))],
    )
    ltv = models.CharField(
        max_length=12,
        default="ours",
        db_default="ours",
        choices=[
            ("ours", _("ARPA × gross margin ÷ customer churn of six months")),
            ("chartmogul", _("ARPA ÷ customer churn of six months")),
            ("calqulate", _("ARPA × gross margin ÷ net MRR churn")),
        ],
    )
    # Parts of ten thousand; None until somebody says it: figures that need it have no value.
    gross_margin_bp = models.PositiveIntegerField(null=True)
    # CAC divides the cost of this many months earlier by the new customers of a month.
    cac_lag_months = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Set once the checklist of the first days is finished or put away.
    checklist_done_at = models.DateTimeField(null=True)
    subscriptions_reviewed_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant"], name="report_settings_once")]

    def __str__(self) -> str:
        return self.threshold


class ProductMark(TenantOwned):
    """A person's word on one product: recurring or not, and over how many months."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="marks")
    mark = models.CharField(
        max_length=10,
        choices=[
            ("recurring", _("Recurring")),
            ("one_off", _("One-off")),
            ("usage", _("Usage")),
            ("ignore", _("Leave out")),
        ],
    )
    period_months = models.PositiveSmallIntegerField(null=True, blank=True)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "product"], name="product_mark_once")
        ]

    def __str__(self) -> str:
        return self.mark


class SubscriptionDecision(TenantOwned):
    """A person's word on one subscription, found again by its key after every import."""

    key = models.CharField(max_length=400)
    verdict = models.CharField(
        max_length=10,
        blank=True,
        choices=[("confirmed", _("Confirmed")), ("rejected", _("Rejected"))],
    )
    period_months = models.SmallIntegerField(null=True, blank=True)
    start = models.DateField(null=True, blank=True)
    end = models.DateField(null=True, blank=True)
    paused = models.BooleanField(default=False)
    # How likely it is renewed, in percent; None asks its history.
    renewal_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    # The key of the subscription that this one continues, or is a part of.
    merged_into = models.CharField(max_length=400, blank=True, db_default="")
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key"], name="subscription_decision_once")
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.verdict}"


class LineDecision(TenantOwned):
    """A person's word on one invoice line: what it is, for when, and whose part.

    A line's place in its invoice is its identity, so the word outlives every import.
    """

    line = models.ForeignKey(InvoiceLine, models.CASCADE, related_name="+")
    # Blank: as detection finds it.
    type = models.CharField(max_length=12, blank=True)
    # The subscription it is a part of, where a person split or made one by hand; else blank.
    subscription_key = models.CharField(max_length=400, blank=True)
    start = models.DateField(null=True, blank=True)
    end = models.DateField(null=True, blank=True)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "line"], name="line_decision_once")
        ]

    def __str__(self) -> str:
        return self.type or self.subscription_key


class CustomerMerge(TenantOwned):
    """Two customers of the books that are one: figures of `customer` count for `into`."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    into = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "customer"], name="customer_merge_once")
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} into {self.into_id}"


class CustomersApart(TenantOwned):
    """Two customers that look like one and are not, as a person said."""

    # Both internal ids, the smaller one first: "12:15".
    pair = models.CharField(max_length=45)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    other = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "pair"], name="customers_apart_once")
        ]

    def __str__(self) -> str:
        return self.pair


class AcquisitionCost(TenantOwned):
    """What winning customers cost in one month, entered by hand."""

    month = models.IntegerField()
    amount_minor = models.BigIntegerField()
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "month"], name="acquisition_cost_once")
        ]

    def __str__(self) -> str:
        return f"{self.month} {self.amount_minor}"


class CashMark(TenantOwned):
    """A person's word on a bank event: whether it is financing rather than operations."""

    event = models.ForeignKey(BankEvent, models.CASCADE, related_name="+")
    financing = models.BooleanField()
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "event"], name="cash_mark_once")]

    def __str__(self) -> str:
        return str(self.financing)


class Edit(TenantOwned):
    """One act of a person on the figures, with what was said before and after it, to undo it.

    `before` and `after` map a table's name to its rows by key: ids, codes and amounts, no names.
    """

    public_id = public_id_field()
    act = models.CharField(max_length=40)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="edit_public_id")
        ]
        indexes = [models.Index(fields=["tenant", "-at"], name="edit_newest")]

    def __str__(self) -> str:
        return self.act
