"""The addresses of lists and documents."""

from django.urls import path

from reporting.views import (
    customers,
    figures_settings,
    invoices,
    payments,
    products,
    quality,
    reviewing,
    saying,
    subscriptions,
)

_T = "t/<slug:slug>/"
_ONE = "<uuid:public_id>/"

urlpatterns = [
    path(_T + "customers/", customers.customers, name="customers"),
    path(_T + "customers/" + _ONE, customers.customer, name="customer"),
    path(_T + "customers/" + _ONE + "merge/", quality.customer_merge, name="customer_merge"),
    path(_T + "quality/", quality.quality, name="quality"),
    path(
        _T + "quality/subscriptions/", quality.quality_subscriptions, name="quality_subscriptions"
    ),
    path(_T + "quality/credits/", quality.quality_credits, name="quality_credits"),
    path(_T + "products/", products.products, name="products"),
    path(_T + "products/mark/", products.products_mark, name="products_mark"),
    path(_T + "products/" + _ONE, products.product, name="product"),
    path(_T + "subscriptions/", subscriptions.subscriptions, name="subscriptions"),
    path(_T + "subscriptions/review/", reviewing.subscriptions_review, name="subscriptions_review"),
    path(_T + "subscriptions/say/", reviewing.subscriptions_say, name="subscriptions_say"),
    path(_T + "subscriptions/" + _ONE, subscriptions.subscription, name="subscription"),
    path(
        _T + "subscriptions/" + _ONE + "edit/",
        subscriptions.subscription_edit,
        name="subscription_edit",
    ),
    path(
        _T + "subscriptions/" + _ONE + "merge/",
        reviewing.subscription_merge,
        name="subscription_merge",
    ),
    path(
        _T + "subscriptions/" + _ONE + "rows/",
        reviewing.subscription_rows,
        name="subscription_rows",
    ),
    path(_T + "subscriptions/edits/", saying.edits, name="edits"),
    path(_T + "subscriptions/edits/" + _ONE + "undo/", saying.edit_undo, name="edit_undo"),
    path(_T + "invoices/", invoices.invoices, name="invoices"),
    path(_T + "invoices/" + _ONE, invoices.invoice, name="invoice"),
    path(
        _T + "invoices/" + _ONE + "rows/<int:position>/",
        invoices.invoice_line,
        name="invoice_line",
    ),
    path(_T + "payments/", payments.payments, name="payments"),
    path(_T + "settings/figures/", figures_settings.settings_figures, name="settings_figures"),
    path(
        _T + "settings/figures/save/",
        figures_settings.settings_figures_save,
        name="settings_figures_save",
    ),
]
