"""Example data for every shared part: what a page hands to templates/parts/."""

from django import forms
from django.core.paginator import Paginator

from calqsync.tenancy.context import Notice

MONTHS = [f"{m} {y}" for y in (2025, 2026) for m in ("Jan", "Mar", "May", "Jul", "Sep", "Nov")]
MRR = [1810, 1905, 2010, 2120, 2090, 2260, 2405, 2520, 2490, 2610, 2760, 2795]
NEW = [120, 140, 90, 160, 40, 210, 150, 130, 60, 170, 160, 60]
REACTIVATION = [0, 0, 30, 0, 0, 20, 40, 0, 0, 20, 0, 0]
EXPANSION = [40, 60, 55, 30, 35, 60, 70, 80, 40, 60, 70, 30]
CONTRACTION = [20, 35, 30, 40, 45, 60, 35, 45, 50, 60, 30, 25]
CHURN = [40, 70, 40, 40, 60, 60, 80, 50, 80, 70, 50, 30]
FX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def minor(values):
    return [None if v is None else v * 1000 for v in values]


def text(value):
    return "–" if value is None else f"{value * 10:,}.00".replace("-", "\u2212")


class ExampleForm(forms.Form):
    name = forms.CharField(help_text="As it should stand on this page, such as EU account.")
    zone = forms.ChoiceField(choices=[("Europe/Helsinki", "Helsinki"), ("UTC", "UTC")])
    note = forms.CharField(required=False, widget=forms.Textarea)
    terms = forms.BooleanField(label="I accept the terms of use")
    keep = forms.ChoiceField(
        label="Imported data",
        choices=[("keep", "Keep it"), ("delete", "Delete it")],
        widget=forms.RadioSelect,
    )


def shell():
    def item(label, icon, active=False):
        return {"label": label, "icon": icon, "active": active, "url": f"/{icon}/"}

    return {
        "tenant": {"name": "Nordlicht Oy", "slug": "nordlicht"},
        "tenants": [
            {"name": "Nordlicht Oy", "slug": "nordlicht"},
            {"name": "Saimaa Analytics Oy", "slug": "saimaa"},
        ],
        "user": {"email": "founder@nordlicht.example"},
        "notice": Notice("9 days left of your trial", "/plan/", "Choose a plan", warning=False),
        "nav": [
            {
                "label": "",
                "items": [
                    item("Financial reporting", "chart", active=True),
                    item("Cashflow", "cash"),
                    item("Growth", "growth"),
                ],
            },
            {
                "label": "Books",
                "items": [
                    item("Customers", "customers"),
                    item("Products", "products"),
                    item("Subscriptions", "subscriptions"),
                    item("Invoices", "invoices"),
                    item("Payments", "payments"),
                ],
            },
            {
                "label": "Settings",
                "items": [
                    item("Company", "company"),
                    item("Team", "team"),
                    item("Integrations", "integrations"),
                    item("Subscription", "plan"),
                    item("Security", "security"),
                    item("API", "api"),
                    item("Audit log", "audit"),
                ],
            },
        ],
    }


def tiles():
    up = {"text": "+€1,500 (+5.7%)", "against": "on last month", "direction": "up", "good": True}
    year = {"text": "+€5,350 (+23.7%)", "against": "on a year ago", "direction": "up"}
    worse = {"text": "+0.4", "against": "on last month", "direction": "up", "good": False}
    return [
        {
            "id": "mrr",
            "name": "Monthly recurring revenue",
            "value": "€27,950",
            "url": "/mrr/",
            "changes": [up, {**year, "good": True}],
            "note": "of which detected: €1,240",
            "note_url": "/subscriptions/",
            "points": MRR,
            "definition": "What active subscriptions bring in a month, without VAT.",
            "formula": "Sum of each line's net amount ÷ the months that it covers",
        },
        {
            "id": "arr",
            "name": "Annual run rate",
            "value": "€335,400",
            "url": "/arr/",
            "changes": [up],
            "points": MRR,
            "definition": "The recurring revenue of a year if nothing changed.",
            "formula": "MRR × 12",
        },
        {
            "id": "customers",
            "name": "Customers",
            "value": "148",
            "url": "/customers/",
            "changes": [{**up, "text": "+3"}],
            "points": [120, 124, 124, 131, None, 140, 141, 148],
            "definition": "Customers with at least one active subscription.",
        },
        {
            "id": "churn",
            "name": "Customer churn",
            "value": "2.1%",
            "url": "/churn/",
            "changes": [worse],
            "points": [18, 22, 15, 30, 21],
            "definition": "Customers who left in the month, of those at its start.",
        },
        {
            "id": "nrr",
            "name": "Net revenue retention",
            "value": "–",
            "reason": "Needs 12 months of history; you have 9.",
            "definition": "What last year's customers bring today, of what they brought then.",
        },
        {
            "id": "runway",
            "name": "Runway",
            "value": "Money lasts to Jan 2028",
            "words": True,
            "url": "/runway/",
            "note": "14.2 months at €31,800 a month",
            "definition": "How long the money in the bank lasts at today's burn.",
        },
    ]


def movements():
    kinds = [
        ("New", "new", NEW),
        ("Reactivation", "reactivation", REACTIVATION),
        ("Expansion", "expansion", EXPANSION),
        ("Contraction", "contraction", CONTRACTION),
        ("Churn", "churn", CHURN),
        ("FX", "fx", FX),
    ]
    series = [{"kind": k, "label": n, "values": minor(v), "as": "bar"} for n, k, v in kinds]
    # The line has an axis of its own: MRR is many times larger than its movements.
    series.append(
        {"kind": "mrr", "label": "MRR", "values": minor(MRR), "as": "line", "axis": "right"}
    )
    net = [
        n + r + e - c - x
        for n, r, e, c, x in zip(NEW, REACTIVATION, EXPANSION, CONTRACTION, CHURN, strict=True)
    ]
    series.append(
        {"kind": "other", "label": "Net", "values": minor(net), "as": "line", "hidden": True}
    )
    rows = [
        {
            "label": name,
            "kind": kind,
            "cells": [{"text": text(v), "url": f"/documents/?kind={kind}"} for v in values],
        }
        for name, kind, values in kinds
    ]
    for row in rows:
        row["cells"][-1]["incomplete"] = True
    rows.append({"label": "MRR at month end", "cells": [text(v) for v in MRR], "total": True})
    head = ["Movement", *({"label": m} for m in MONTHS)]
    head[-1]["incomplete"] = True
    return {
        "id": "movements",
        "type": "movements",
        "title": "What moved recurring revenue",
        "summary": "MRR rose from €18,100 to €27,950 in two years; new customers added most.",
        "height": "l",
        "data": {
            "labels": MONTHS,
            "series": series,
            "incomplete": [11],
            "incomplete_word": "so far",
            "axis_left": "Movements",
            "axis_right": "MRR",
            "format": {"style": "money", "currency": "EUR"},
        },
        "table_shown": True,
        "table": {
            "id": "movements-table",
            "caption": "Movements by month",
            "currency": "EUR",
            "months": True,
            "head": head,
            "rows": rows,
        },
    }


def cash():
    balance = [5200, 5100, 4950, 4800, 4700, 4510, 4300, 4150, 3990, 3800, 3650, 3480]
    paid_in = [2100, 2300, 2250, 2400, 2200, 2500, 2450, 2600, 2500, 2700, 2650, 2800]
    paid_out = [2300, 2400, 2400, 2550, 2300, 2690, 2660, 2750, 2660, 2890, 2800, 2970]
    series = [
        {"kind": "money-in", "label": "Money in", "values": minor(paid_in), "as": "bar"},
        {"kind": "money-out", "label": "Money out", "values": minor(paid_out), "as": "bar"},
        {"kind": "cash", "label": "Balance", "values": minor(balance), "as": "line"},
    ]
    rows = [
        {"label": m, "cells": [text(i), text(o), text(b)], "incomplete": m == MONTHS[-1]}
        for m, i, o, b in zip(MONTHS, paid_in, paid_out, balance, strict=True)
    ]
    return {
        "id": "cash",
        "type": "inout",
        "title": "Money in and out",
        "summary": "The balance fell from €52,000 to €34,800.",
        "data": {
            "labels": MONTHS,
            "series": series,
            "incomplete": [11],
            "marks": [{"at": 8, "label": "Money ends 3 Jan 2028"}],
            "format": {"style": "money", "currency": "EUR"},
        },
        "table": {
            "id": "cash-table",
            "caption": "Money in and out by month",
            "currency": "EUR",
            "head": [
                "Month",
                {"label": "Money in", "kind": "money-in"},
                {"label": "Money out", "kind": "money-out"},
                {"label": "Balance", "kind": "cash", "line": True},
            ],
            "rows": rows,
        },
    }


def rates():
    churn = [0.021, 0.025, 0.018, 0.03, 0.022, None, 0.019, 0.024, 0.03, 0.021, 0.02, 0.011]
    return {
        "id": "rates",
        "type": "lines",
        "title": "Customers who left",
        "summary": "Churn stayed between 1.8% and 3.0% a month.",
        "data": {
            "labels": MONTHS,
            "series": [{"kind": "churn", "label": "Customer churn", "values": churn}],
            "incomplete": [11],
            "format": {"style": "rate"},
        },
    }


def bars(bars_id, title, what, kind, rows):
    return {
        "id": bars_id,
        "title": title,
        "what": what,
        "measure": "Net",
        "currency": "EUR",
        "kind": kind,
        "rows": [{"label": n, "url": "/x/", "value": text(v), "percent": p} for n, v, p in rows],
        "total": {"label": "All", "value": text(sum(v for _n, v, _p in rows)), "url": "/all/"},
        "url": "/all/",
        "url_text": "",
    }


def listing():
    names = ["Aalto Logistiikka Oy", "Bothnia Software Ab", "Ceres Foods Oyj", "Ødegaard AS"]
    rows = [
        {
            "url": f"/customers/{i}/",
            "cells": [
                {"text": name, "sub": "EU account · 1234567-8"},
                {"text": "", "badge": status},
                "12 Mar 2024",
                text(900 - 130 * i),
                {"text": text(10_000 - 900 * i), "url": "/invoices/"},
            ],
        }
        for i, (name, status) in enumerate(
            zip(names, ("active", "detected", "late", "churned"), strict=True)
        )
    ]
    return {
        "caption": "Customers",
        "currency": "EUR",
        "searchable": True,
        "search_label": "Search by name or business id",
        "query": "",
        "filters": [
            {
                "name": "status",
                "label": "Status",
                "options": [
                    {"value": "", "label": "All", "selected": True},
                    {"value": "active", "label": "Active"},
                ],
            }
        ],
        "sort": "-mrr",
        "columns": [
            {"key": "name", "label": "Customer", "sortable": True},
            {"key": "status", "label": "Status"},
            {"key": "since", "label": "Since", "sortable": True},
            {"key": "mrr", "label": "MRR", "numeric": True, "sortable": True},
            {"key": "revenue", "label": "Revenue", "numeric": True, "sortable": True},
        ],
        "rows": rows,
        "total": {"label": "Sum of all 148", "cells": ["", "", text(2795), text(33_100)]},
        "count_text": "148 customers",
        "page": Paginator(range(148), 4).page(2),
        "exports": [
            {"label": "Export CSV", "url": "?format=csv"},
            {"label": "Export Excel", "url": "?format=xlsx"},
            {"label": "Export Parquet", "url": "?format=parquet"},
        ],
        "empty": {"title": "No customers match", "text": "Try another word."},
    }


def progress():
    return {
        "title": "Importing EU account",
        "status": "syncing",
        "summary": "18 200 of about 25 000 invoices.",
        "left": "About 1 minute left.",
        "poll_url": "/progress/",
        "finished": False,
        "hint": "You may leave this page. We send an email when it is done.",
        "streams": [
            {"label": "Customers", "state": "done", "text": "1,204", "usable": "Ready to use"},
            {
                "label": "Invoices",
                "state": "running",
                "done": 18200,
                "total": 25000,
                "text": "18,200 of 25,000",
                "usable": "Complete back to March 2024",
            },
            {"label": "Payments", "state": "running", "text": "Counting"},
            {"label": "Bank statements", "state": "queued", "text": "Waiting"},
        ],
    }


def problem():
    return {
        "id": "p1",
        "level": "bad",
        "title": "EU account needs you",
        "happened": "Procountor refused our key at 07:40. It was probably removed there.",
        "meaning": "Figures are complete up to 20 Nov 2026 and stay as they are until then.",
        "advice": "Connect the account again. Nothing that is imported will be lost.",
        "action": "Reconnect EU account",
        "action_url": "/reconnect/",
        "reference": "run 0192f3c1",
        "detail": "401 INVALID_API_KEY from /api/oauth/token",
    }


def confirm():
    return {
        "title": "Disconnect EU account",
        "goes": ["The key to Procountor, at once", "1,204 customers and 25,000 invoices"],
        "stays": ["US account and its figures", "The audit log"],
        "undo": "You can connect the same company again and import it anew.",
        "url": "/disconnect/",
        "action": "Disconnect and delete",
        "cancel_url": "/back/",
    }


def context():
    """Everything that templates/parts/gallery.html shows."""
    form = ExampleForm({"name": "", "zone": "UTC", "keep": "keep"})
    form.is_valid()
    return {
        "shell": shell(),
        "freshness": {"text": "As of 07:40 · EU account, US account", "url": "/runs/"},
        "period": {
            "presets": [
                {"label": "12 months", "url": "?p=12", "active": True},
                {"label": "24 months", "url": "?p=24"},
                {"label": "All", "url": "?p=all"},
            ],
            "text": "Dec 2025 – Nov 2026",
            "start": "2025-12",
            "end": "2026-11",
            "compare": [
                {"value": "", "label": "Nothing", "selected": True},
                {"value": "year", "label": "The year before"},
            ],
        },
        "connections": [
            {"label": "All accounts", "url": "?", "active": True},
            {"label": "EU account", "url": "?connection=eu"},
        ],
        "tiles": tiles(),
        "checklist": {
            "progress": "1 of 4 done",
            "items": [
                {"label": "Connect Procountor", "done": True, "url": "/connect/"},
                {
                    "label": "Look at the import",
                    "current": True,
                    "url": "/runs/",
                    "hint": "Counts should match what you see in Procountor.",
                },
                {"label": "Review subscriptions", "url": "/subscriptions/"},
                {"label": "Invite a colleague", "url": "/team/"},
            ],
        },
        "movements": movements(),
        "cash": cash(),
        "rates": rates(),
        "top_customers": bars(
            "top",
            "Top customers",
            "Customer",
            "revenue",
            [("Aalto Logistiikka Oy", 900, 100), ("Bothnia Ab", 610, 68), ("Ceres Oyj", 450, 50)],
        ),
        "receivables": bars(
            "ages",
            "Open receivables by age",
            "Days past due",
            "cash",
            [("Not yet due", 1200, 100), ("1 to 30", 320, 27), ("31 to 60", 80, 7)],
        ),
        "tabs": [
            {"label": "Lines", "url": "?t=lines", "active": True, "count": 12},
            {"label": "Payments", "url": "?t=payments", "count": 3},
        ],
        "listing": listing(),
        "progress": progress(),
        "problem": problem(),
        "confirm": confirm(),
        "facts": [
            {"term": "Business id", "text": "1234567-8"},
            {"term": "Status", "status": "active"},
            {"term": "MRR", "text": "€900.00", "num": True, "url": "/mrr/"},
            {"term": "Customer since", "text": "12 Mar 2024"},
            {"term": "Email", "text": ""},
        ],
        "statuses": [
            *("active", "syncing", "waiting", "needs_you", "paused", "disconnected"),
            *("paid", "part_paid", "open", "overdue", "detected", "confirmed", "late", "churned"),
        ],
        "form": form,
        "empty": {
            "icon": "invoices",
            "title": "No invoices yet",
            "text": "They appear here as soon as an account is connected.",
            "url": "/connect/",
            "action": "Connect Procountor",
        },
    }
