"""Trial, plan and the gate that import services ask."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from billing.gate import Entitlement, PlanNeeded, Standing, entitlement
from billing.models import Account, FirstTrial, Plan, ProviderEvent
from billing.providers import Provider, TestProvider
from billing.signals import imports_allowed
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant, User
from calqsync.tenancy.services import audit


def provider() -> Provider:
    """The payment provider in use."""
    return TestProvider()


def account_of_tenant() -> Account:
    """The account of the tenant in scope; its trial began when the company was created."""
    # For every page of a company: without what the ORM does to write a query.
    one = "SELECT * FROM billing_account WHERE tenant_id = %s"
    account: Account | None = next(iter(Account.objects.raw(one, [scope.required()])), None)
    if account is not None:
        return account
    tenant = Tenant.objects.only("created_at").get(pk=scope.required())
    first = {
        "tenant_id": tenant.pk,
        "trial_ends_at": tenant.created_at + timedelta(days=settings.TRIAL_DAYS),
    }
    if scope.is_looking_in():
        return Account(**first)  # support writes nothing, not even what every tenant gets
    account, _created = Account.objects.get_or_create(defaults=first)
    return account


def entitlement_now(*, now: datetime) -> Entitlement:
    """What the tenant in scope may do at `now`."""
    account = account_of_tenant()
    return entitlement(
        trial_ends_at=account.trial_ends_at,
        plan=account.plan,
        paid_until=account.paid_until,
        now=now,
    )


def entitlement_of(request: HttpRequest) -> Entitlement:
    """As `entitlement_now` for the request's company, looked up once a request."""
    found: Entitlement | None = getattr(request, "entitlement", None)
    if found is None:
        found = entitlement_now(now=timezone.now())
        request.entitlement = found  # type: ignore[attr-defined]
    return found


def require_import(*, now: datetime) -> None:
    """Raise PlanNeeded unless the tenant in scope may import at `now`."""
    if not entitlement_now(now=now).may_import:
        raise PlanNeeded(str(PlanNeeded.advice))


@transaction.atomic
def trial_spend(*, books: str, by: User, now: datetime) -> None:
    """Spend the one trial that a company's books have on the tenant in scope.

    Where another tenant began it, this one's trial ends with it; raises PlanNeeded if that end
    has passed. A plan makes no difference to the books' trial, and the trial none to a plan.
    """
    account = account_of_tenant()
    tenant = Tenant.objects.only("public_id").get(pk=scope.required())
    first, mine = _first_trial(
        books=books, tenant=str(tenant.public_id), ends_at=_end_of_day(account.trial_ends_at)
    )
    paid = entitlement_now(now=now).standing is Standing.PAID
    if paid or mine or first.ends_at >= account.trial_ends_at:
        return
    if first.ends_at <= now:
        raise PlanNeeded(
            _("The free trial of this company's books was used before. Choose a plan to import.")
        )
    trial_extend(until=first.ends_at, by=by)


def _first_trial(*, books: str, tenant: str, ends_at: datetime) -> tuple[FirstTrial, bool]:
    """The trial of these books, begun now if none was, and whether this tenant began it."""
    # The database shows a row only to who names its hash: one try for each signing key.
    for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]:
        name = _hashed(books, key)
        with scope.token(name):
            found = FirstTrial.objects.filter(books=name).first()
        if found is not None:
            return found, found.first_seen_by == _hashed(tenant, key)
    name, seen_by = _hashed(books), _hashed(tenant)
    with scope.token(name):
        new = FirstTrial(books=name, first_seen_by=seen_by, ends_at=ends_at)
        # Another tenant may have begun it this very moment.
        FirstTrial.objects.bulk_create([new], ignore_conflicts=True)
        first = FirstTrial.objects.get(books=name)
    return first, first.first_seen_by == seen_by


def _end_of_day(moment: datetime) -> datetime:
    """The midnight after: another tenant that learns the end learns no moment of a sign-up."""
    day = moment.astimezone(UTC).date() + timedelta(days=1)
    return datetime.combine(day, time(), UTC)


def _hashed(text: str, key: str | None = None) -> str:
    """The text's hash under this signing key, or the current one."""
    return salted_hmac("billing.first_trial", text, secret=key, algorithm="sha256").hexdigest()


@transaction.atomic
def plan_choose(*, plan: str, by: User, now: datetime) -> Account:
    """Buy a plan; importing is allowed again at once."""
    if plan not in Plan.values:
        raise ValidationError(_("Choose one of the plans in the list."))
    account = account_of_tenant()
    before = account.plan
    tenant = Tenant.objects.get(pk=scope.required())
    seller = provider()
    event = seller.subscribe(tenant_public_id=str(tenant.public_id), plan=plan)
    ProviderEvent.objects.create(
        provider=seller.name, event_id=event.id, kind=event.kind, body=event.body, processed_at=now
    )
    account.plan, account.paid_until, account.provider = plan, None, seller.name
    account.save(update_fields=["plan", "paid_until", "provider"])
    audit(act="plan.chosen", by=by, before={"plan": before}, after={"plan": plan})
    imports_allowed.send(sender=Account, tenant_id=tenant.pk)
    return account


@transaction.atomic
def trial_extend(*, until: datetime, by: User | None) -> Account:
    """Move the end of the trial; earlier is possible too."""
    account = account_of_tenant()
    before = account.trial_ends_at
    account.trial_ends_at = until
    account.save(update_fields=["trial_ends_at"])
    audit(
        act="trial.changed",
        by=by,
        before={"ends": before.isoformat()},
        after={"ends": until.isoformat()},
    )
    return account
