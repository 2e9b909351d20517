from django.urls import include, path

from calqsync.tenancy.access import tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.web.limits import limited
from reporting.api import Figures
from reporting.views import dashboards, restatements

urlpatterns = [
    path("t/<slug:slug>/", dashboards.financial, name="financial"),
    path(
        "t/<slug:slug>/api/figures/",
        tenant_view(Role.INVESTOR)(limited("figures")(Figures.as_view())),
        name="api_figures",
    ),
    path("t/<slug:slug>/growth/", dashboards.growth, name="growth"),
    path("t/<slug:slug>/board/", dashboards.board, name="board"),
    path("t/<slug:slug>/growth/customers/", dashboards.customer_months, name="customer_months"),
    path("t/<slug:slug>/cashflow/", dashboards.cashflow, name="cashflow"),
    path("t/<slug:slug>/retention/", dashboards.retention, name="retention"),
    path("t/<slug:slug>/segments/", dashboards.segments, name="segments"),
    path("t/<slug:slug>/unit-economics/", dashboards.economics, name="economics"),
    path("t/<slug:slug>/recognition/", dashboards.recognition, name="recognition"),
    path(
        "t/<slug:slug>/recognition/customers/",
        dashboards.deferred_customers,
        name="deferred_customers",
    ),
    path(
        "t/<slug:slug>/recognition/invoices/",
        dashboards.deferred_invoices,
        name="deferred_invoices",
    ),
    path("t/<slug:slug>/overdue/", dashboards.overdue, name="overdue"),
    path(
        "t/<slug:slug>/figures/<str:figure>/<str:month>/",
        dashboards.behind,
        name="behind",
    ),
    path("t/<slug:slug>/restatements/", restatements.restatements, name="restatements"),
    path(
        "t/<slug:slug>/restatements/<uuid:public_id>/",
        restatements.restatement,
        name="restatement",
    ),
    path("", include("reporting.views.routes")),
]
