"""How the two companies are made: by the services that serve them, and a row in every table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.utils import timezone

from billing.models import ProviderEvent
from billing.services import account_of_tenant
from calqsync.jobs.models import Job
from calqsync.jobs.services import claim, enqueue, finish
from calqsync.privacy.services import exports
from calqsync.tenancy import scope
from calqsync.tenancy.models import Invitation, Membership, Role, User
from calqsync.tenancy.secrets import sealer
from calqsync.tenancy.services import invitation_create, tenant_create, token_hash
from calqsync.tenancy.support import grants
from calqsync.tenancy.tokens.scopes import FIGURES
from calqsync.tenancy.tokens.services import token_create
from integrations import models as books
from integrations.models.connections import GrantKind
from integrations.sync import evidence
from reporting import models as figures
from reporting import services as reporting
from reporting.services import deciding
from tests import factories
from tests.architecture.world import MARKED, NOON, PASSWORD, PLAIN, ROLES, Company, Words, World
from tests.reporting.conftest import refreshed
from tests.staff import staff_make


def build() -> World:
    """Make both companies and commit."""
    with transaction.atomic():
        staff, helper = staff_make("sofia"), staff_make("hanna")
        marked = _company(MARKED, helper)
        neighbour = _company(PLAIN, helper)
    for company in (marked, neighbour):
        _copied(company)
    return World(marked, neighbour, staff, helper, marked.things["grant"])


def _company(words: Words, helper: User) -> Company:
    people = {role: _person(words, role) for role in ROLES}
    owner = people["owner"]
    tenant = tenant_create(name=f"{words.directory} Oy", owner=owner)
    company = Company(words, tenant, people)
    with scope.user(owner.pk), scope.tenant(tenant.pk):
        tenant.business_id = words.listed("bid")[:30]
        tenant.save(update_fields=["business_id"])
        for role in ROLES[:-1]:
            company.things[f"member:{role}"] = Membership.objects.create(
                user=people[role], role=role
            )
        company.things["member"] = company.things["member:viewer"]
        company.things["own membership"] = Membership.objects.get(user=owner)
        _imported(company)
        _ran(company)
        _decided(company)
        _office(company, helper)
        _fill_the_rest(company)
    return company


def _person(words: Words, role: str) -> User:
    person = User.objects.create_user(
        f"{words.directory.lower()}-{role}@{words.host}", PASSWORD, name=words.listed(role)
    )
    apps.get_model("account", "EmailAddress").objects.create(
        user=person, email=person.email, verified=True, primary=True
    )
    return person


def _imported(company: Company) -> None:
    words, things = company.words, company.things
    shop = factories.connection_make(
        words.listed("shop"),
        business_id=words.listed("bid"),
        trouble_detail=words.listed("trouble"),
        pause_reason="",
        rights={"marker": words.listed("rights")},
    )
    other = factories.connection_make(words.listed("second"))
    product = factories.product_make(
        shop, words.text("plan"), code=words.text("code"), group=words.text("group")
    )
    customer = factories.customer_make(
        shop,
        words.text("customer"),
        identity=words.text("identity"),
        business_id=words.text("bid"),
        customer_number=words.text("number"),
        city=words.text("city"),
        email=f"{words.books.lower()}@{words.host}",
        group=words.text("group"),
    )
    second = factories.customer_make(other, words.text("second customer"))
    month = str(words.month)
    texts = {"number": f"{words.books}-{words.word}-1"}
    invoices = factories.monthly_make(
        customer, product, ["2025-10", "2025-11", "2025-12", "2026-01", "2026-02"], net=month
    )
    factories.monthly_make(second, None, ["2025-12", "2026-01", "2026-02"], net=month)
    row = factories.Row(net=month, product=product, text=words.text("row"))
    invoice = factories.invoice_make(customer, "2026-02-03", [row], **texts)
    for one in invoices[:3]:
        factories.payment_make(one, one.due_date.isoformat(), month)
    payment = factories.payment_make(invoice, "2026-02-20", "1.00", status=words.text("state"))
    account = factories.account_make(shop, bank_name=words.text("bank"))
    spent = [("2026-01-10", f"-{month}"), ("2026-01-20", f"{words.month * 7}")]
    statement = factories.statement_make(
        account,
        "2026-01-01",
        "2026-01-31",
        str(words.month * 40),
        spent,
        counterparty=words.text("payee"),
        message=words.text("message"),
    )
    seal = sealer()
    books.RawDocument.objects.create(
        connection=shop,
        stream="invoices",
        external_id=words.text("raw"),
        sha256=b"0" * 32,
        body=seal.seal(words.text("raw").encode(), connection_id=shop.pk, field="raw"),
    )
    books.Credential.objects.create(
        connection=shop,
        kind=GrantKind.API_KEY,
        secret=seal.seal_text(words.text("key"), connection_id=shop.pk, field="secret"),
    )
    things |= {"connection": shop, "other connection": other, "product": product}
    things |= {"customer": customer, "invoice": invoice, "payment": payment}
    things |= {"account": account, "event": statement.events.first()}


def _ran(company: Company) -> None:
    words, things = company.words, company.things
    shop, now = things["connection"], timezone.now()
    run = books.SyncRun.objects.create(
        connection=shop,
        mode="first",
        trigger="person",
        state="our_fault",
        started_at=now,
        finished_at=now,
        window_to=now,
        error_kind="Broken",
        error=words.listed("run error"),
        requests=739,
    )
    books.SyncStream.objects.create(
        run=run, stream="invoices", fetched=7_391_847, position={"at": words.text("position")}
    )
    books.StreamCursor.objects.create(connection=shop, stream="invoices", changed_to=now)
    things["rejection"] = _set_aside(company, "rejected")
    things["ignored rejection"] = _set_aside(company, "ignored", ignored_at=now)
    for role in ("admin", "owner"):
        things[f"flow:{role}"] = _walk(company, role)
    things |= {"run": run, "flow": things["flow:owner"]}


def _set_aside(company: Company, number: str, **values: Any) -> Any:
    """A document that could not be understood, sealed as the import seals it."""
    words, shop, now = company.words, company.things["connection"], timezone.now()
    name = words.listed(number)[:40]
    raw = evidence.sealed_for(sealer(), shop.pk, "invoices", name, words.text("raw").encode())
    return books.Rejection.objects.create(
        connection=shop,
        stream="invoices",
        external_id=name,
        reason=words.listed("reason"),
        raw=raw,
        first_seen_at=now,
        last_seen_at=now,
        **values,
    )


def _walk(company: Company, role: str) -> Any:
    """A walk to Procountor's login that waits for its person to confirm it."""
    words, now = company.words, timezone.now()
    flow = books.ConnectFlow.objects.create(
        user=company.people[role],
        state_hash=token_hash(f"{words.state}-{role}"),
        browser_hash=token_hash("browser"),
        method=GrantKind.API_KEY,
        expires_at=now + timedelta(hours=5),
        used_at=now,
        company_id=f"77-{role}",
        company_name=words.text("company"),
        business_id=words.text("bid")[:40],
        currency="EUR",
    )
    flow.secret = sealer().seal_text(words.text("secret"), connection_id=flow.pk, field="flow")
    flow.save()
    return flow


def _decided(company: Company) -> None:
    words, things, owner = company.words, company.things, company.people["owner"]
    refreshed(NOON)
    found = figures.Subscription.objects.filter(customer=things["customer"]).first()
    assert found is not None, "the marked books hold no subscription"
    marked = deciding.acts.products_marked(
        products=[things["product"]], mark="recurring", period_months=1
    )
    things["edit"] = deciding.change_save(change=marked, by=owner)
    edited = deciding.acts.edited(subscription=found, period_months=1)
    deciding.change_save(change=edited, by=owner)
    deciding.cash_mark(event=things["event"], financing=True, by=owner)
    deciding.settings_change(by=owner, burn_months=6)
    refreshed(NOON)
    things["subscription"] = figures.Subscription.objects.get(key=found.key)
    # After the figures, whose amounts are to stay on the subscription above.
    figures.CustomerMerge.objects.create(
        customer=factories.customer_make(things["connection"], words.text("merged")),
        into=things["customer"],
        by=owner,
    )
    figures.LineDecision.objects.create(
        line=things["invoice"].lines.first(),
        type="recurring",
        subscription_key=f"{things['customer'].pk}|n:{words.text('row')}|EUR|0",
        by=owner,
    )
    _restated(company)
    # The month's service is over on the day of the figures, so nothing of it is left to recognise.
    for model in (figures.CustomerFigure, figures.InvoiceFigure):
        model.objects.update(deferred_minor=int(words.month * 100))
    body = figures.Report.objects.get().body
    assert str(int(words.month * 100)) in str(body), "the amounts did not reach the figures"


def _restated(company: Company) -> None:
    words, invoice = company.words, company.things["invoice"]
    minor = int(words.month * 100)
    cause = {
        "code": "credit_note",
        "params": {"invoice": str(invoice.public_id), "number": invoice.number},
        "amount_minor": -minor,
    }
    company.things["restatement"] = figures.Restatement.objects.create(
        at=timezone.now(),
        month=2026 * 12,
        metric="mrr",
        before_minor=2 * minor,
        after_minor=minor,
        causes=[cause],
    )


def _office(company: Company, helper: User) -> None:
    words, things, owner = company.words, company.things, company.people["owner"]
    now = timezone.now()
    things["billing account"] = account_of_tenant()
    ProviderEvent.objects.create(
        provider="test",
        event_id=words.text("event"),
        kind=words.text("kind"),
        body={"customer": words.text("provider")},
    )
    things["invitation"] = invitation_create(
        tenant=company.tenant,
        email=f"invited@{words.host}",
        role=Role.MEMBER,
        by=owner,
        now=now,
    )
    Invitation.objects.update(token_hash=token_hash(words.token), sent_at=now)
    things["grant"] = grants.grant_request(
        staff=helper,
        asked_by=Membership.objects.get(user=owner),
        reason=words.listed("why"),
        ticket=words.listed("ticket"),
        now=now,
    )
    for role in ROLES:
        things[f"token:{role}"], _text = token_create(
            membership=Membership.objects.get(user=company.people[role]),
            name=words.text(role),
            scopes=[FIGURES],
            days=30,
            now=now,
        )
    things["token"] = things["token:owner"]
    things["job"] = Job.objects.create(
        kind="integrations.sync",
        key=str(things["other connection"].public_id),
        queue="sync",
        state="failed",
        payload={"about": words.text("payload")},
        error_class="Broken",
        error=words.listed("job error"),
    )
    enqueue(kind=reporting.KIND)
    things["second step"] = TOTP.activate(owner, generate_totp_secret()).instance
    alive = Session.objects.create(
        session_key=f"{owner.pk:x<40}", expire_date=timezone.now() + timedelta(days=14)
    )
    things["session"] = UserSession.objects.create(
        user=owner,
        ip="192.0.2.73",
        user_agent=words.text("browser"),
        session_key=alive.session_key,
    )


def _copied(company: Company) -> None:
    """A copy of the company's data that waits to be downloaded; written from what is committed."""
    now = timezone.now()
    with scope.tenant(company.tenant.pk):
        exports.export_request(by=company.people["owner"], now=now)
        with transaction.atomic():
            waiting = Job.objects.get(kind=exports.KIND)
        job = claim(waiting.pk)
        assert job is not None
        finish(job, exports.export_write(job, now=now))
        with transaction.atomic():
            company.things["export"] = exports.Export.objects.get()


def owned_models() -> list[Any]:
    """Every model whose rows belong to a tenant."""
    return [
        model
        for model in apps.get_models()
        if any(one.name == "tenant" for one in model._meta.local_fields)
    ]


def _fill_the_rest(company: Company) -> None:
    """A row in each table that has none yet, so that a new table is watched from its first day."""
    for _round in range(3):  # a row may need one of another empty table
        for model in owned_models():
            if model in {exports.Export, exports.ExportPart}:
                continue  # written by `_copied`
            if not model.objects.exists() and (values := _values(company, model)) is not None:
                company.things.setdefault(model._meta.model_name, model.objects.create(**values))


def _values(company: Company, model: Any) -> dict[str, Any] | None:
    values: dict[str, Any] = {}
    for one in model._meta.local_concrete_fields:
        if one.primary_key or one.name == "tenant" or one.null or one.has_default():
            continue
        if one.db_default is not models.NOT_PROVIDED:
            continue
        value = _value(company, one)
        if value is None:
            return None
        values[one.attname] = value
    return values


def _value(company: Company, one: Any) -> Any:
    if isinstance(one, models.ForeignKey):
        target = one.related_model
        if target is User:
            return company.people["owner"].pk
        first = target.objects.first() if target in owned_models() else None
        return first.pk if first else None
    if one.choices:
        return one.choices[0][0]
    by_type: list[tuple[Any, Any]] = [
        (models.DateTimeField, timezone.now()),
        (models.DateField, NOON.date()),
        ((models.CharField, models.TextField), company.words.text("row")),
        (models.BinaryField, b"qza"),
        (models.BooleanField, False),
        ((models.IntegerField, models.DecimalField), 1),
        (models.JSONField, {"marker": company.words.text("row")}),
        (ArrayField, []),
        (models.UUIDField, company.tenant.public_id),
    ]
    value = next((value for kinds, value in by_type if isinstance(one, kinds)), None)
    limit = getattr(one, "max_length", None)
    return value[:limit] if isinstance(value, str) and limit else value
