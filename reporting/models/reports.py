"""The figures of the whole company as published, as known before, and what they are made from."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from calqsync.tenancy.owned import TenantOwned, public_id_field
from reporting.models.texts import JsonText


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
    # Of the body as text: a part that stays the same is not written again.
    digest = models.CharField(max_length=32, default="", db_default="")
    body = JsonText(default=dict)

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
    # One of `domain.restated`; what is counted and no money has no currency.
    metric = models.CharField(max_length=20)
    currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    before_minor = models.BigIntegerField()
    after_minor = models.BigIntegerField()
    # Why: [{"code", "params", "amount_minor"}]; documents by public id and number or day.
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
