from django.urls import path

from billing import views

urlpatterns = [
    path("t/<slug:slug>/settings/subscription/", views.plan, name="plan"),
    path("t/<slug:slug>/settings/subscription/choose/", views.plan_choose, name="plan_choose"),
]
