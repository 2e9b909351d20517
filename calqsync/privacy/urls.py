from django.urls import path

from calqsync.privacy import views

_DATA = "t/<slug:slug>/settings/data/"

urlpatterns = [
    path("account/delete/", views.account_delete, name="account_delete"),
    path(_DATA, views.data, name="settings_data"),
    path(_DATA + "export/", views.export_create, name="export_create"),
    path(_DATA + "export/progress/", views.export_progress, name="export_progress"),
    path(_DATA + "export/<uuid:public_id>/", views.export_download, name="export_download"),
    path(_DATA + "export/<uuid:public_id>/delete/", views.export_delete, name="export_delete"),
    path(_DATA + "delete/", views.company_delete, name="company_delete"),
    path(_DATA + "keep/", views.company_keep, name="company_keep"),
    path(
        "t/<slug:slug>/customers/<uuid:public_id>/erase/",
        views.contact_erase,
        name="contact_erase",
    ),
]
