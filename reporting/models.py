"""What people decided about the figures, and the figures as last published.

Money: `…_minor` is in minor units of the tenant's reporting currency, `…_e4` in 1/10 000 of a
minor unit. Months are indexes (year × 12 + month − 1). Periods are half-open.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User
from calqsync.tenancy.owned import TenantOwned, public_id_field
from integrations.models import BankEvent, Customer, Invoice, InvoiceLine, Product

# The kind of the job that recomputes a tenant's figures.
REFRESH = "reporting.refresh"


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


class Report(TenantOwned):
    """The last published figures of a tenant, complete and from one state of the books.

    `body` holds the month table, tiles and cash figures as integers; pages read it, and never
    anything that is being computed.
    """

    version = models.PositiveIntegerField(default=1)
    as_of = models.DateField()
    currency = models.CharField(max_length=3)
    published_at = models.DateTimeField()
    # For each connection: public id, name and the time its data are from.
    freshness = models.JSONField(default=list)
    body = models.JSONField(default=dict)
    compute_ms = models.PositiveIntegerField(default=0)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant"], name="report_once")]

    def __str__(self) -> str:
        return f"{self.as_of} v{self.version}"


class ReportPart(TenantOwned):
    """A part of the published report that only some pages read; published with it, at once.

    `name` and the shape of `body` are those of `reporting.parts`.
    """

    name = models.CharField(max_length=40)
    body = models.JSONField(default=dict)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="report_part_once")]

    def __str__(self) -> str:
        return self.name


class ReportVersion(TenantOwned):
    """The report as it was last known on one day; its body names no customer."""

    day = models.DateField()
    published_at = models.DateTimeField()
    body = models.JSONField(default=dict)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "day"], name="report_version_once")
        ]

    def __str__(self) -> str:
        return str(self.day)


class Restatement(TenantOwned):
    """A closed month's figure that a later computation changed, and the documents behind it."""

    public_id = public_id_field()
    at = models.DateTimeField()
    month = models.IntegerField()
    # A name of `body.Month` without its unit: mrr, new, churn, …
    metric = models.CharField(max_length=20)
    before_minor = models.BigIntegerField()
    after_minor = models.BigIntegerField()
    # Why: [{"code", "params"}]; documents by public id and number, with the amount of each.
    causes = models.JSONField(default=list)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="restatement_public_id")
        ]
        indexes = [models.Index(fields=["tenant", "-at", "month"], name="restatement_newest")]

    def __str__(self) -> str:
        return f"{self.metric} {self.month}: {self.before_minor} to {self.after_minor}"


class KeptSums(TenantOwned):
    """What the last publication added up, of some customers (a shard) or of all.

    Packed by `services.keeping`; it holds numbers, and names of products and groups.
    """

    # -1 for all customers.
    shard = models.IntegerField()
    body = models.BinaryField()

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "shard"], name="kept_sums_once")]

    def __str__(self) -> str:
        return str(self.shard)


class BooksChange(TenantOwned):
    """What the next publication has to look at anew: left by whoever changes the books."""

    # Ids of the customers; None: everything.
    customers = ArrayField(models.BigIntegerField(), null=True)
    bank = models.BooleanField(default=True)

    class Meta(TenantOwned.Meta):
        pass

    def __str__(self) -> str:
        return "everything" if self.customers is None else f"{len(self.customers)} customers"
