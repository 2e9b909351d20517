from django.urls import path

from calqsync.jobs.views import healthz

urlpatterns = [path("healthz", healthz, name="healthz")]
