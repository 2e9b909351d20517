"""The addresses of version 1. A token belongs to one company, so that none of them names it."""

from typing import Any

from django.urls import path

from reporting.api import documents, published
from reporting.api.schema import openapi

RESOURCES: dict[str, Any] = {
    "company": published.Company,
    "report": published.Report,
    "report/months": published.Months,
    "report/revenue": published.Revenue,
    "report/cash": published.Cash,
    "report/receivables": published.Receivables,
    "report/runway": published.Runway,
    "quarters": published.Quarters,
    "years": published.Years,
    "cohorts": published.Cohorts,
    "segments/<str:dimension>": published.Segments,
    "economics": published.Economics,
    "recognition": published.Recognition,
    "refunds": published.Refunds,
    "freshness": published.Freshness,
    "restatements": documents.Restatements,
    "customers": documents.Customers,
    "customers/<uuid:public_id>": documents.Customer,
    "subscriptions": documents.Subscriptions,
    "subscriptions/<uuid:public_id>": documents.Subscription,
    "products": documents.Products,
    "products/<uuid:public_id>": documents.Product,
    "invoices": documents.Invoices,
    "invoices/<uuid:public_id>": documents.Invoice,
    "payments": documents.Payments,
}

urlpatterns = [
    path("openapi.json", openapi, name="api_schema"),
    *(
        path(address, view.as_view(), name=f"api_v1_{view.__name__.lower()}")
        for address, view in RESOURCES.items()
    ),
]
