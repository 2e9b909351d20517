from django.urls import path

from integrations.views import connect, connections, imports, quarantine, removals, schedules

_SETTINGS = "t/<slug:slug>/settings/integrations/"
_ONE = _SETTINGS + "<uuid:public_id>/"

urlpatterns = [
    path(_SETTINGS, connections.integrations, name="integrations"),
    path(_SETTINGS + "connect/", connect.connect_start, name="connect_start"),
    path(_SETTINGS + "connect/key/", connect.connect_key, name="connect_key"),
    path(_SETTINGS + "connect/<uuid:public_id>/", connect.connect_confirm, name="connect_confirm"),
    path(_ONE, connections.connection, name="connection"),
    path(_ONE + "progress/", connections.connection_progress, name="connection_progress"),
    path(_ONE + "sync/", imports.connection_sync, name="connection_sync"),
    path(_ONE + "cancel/", imports.connection_cancel, name="connection_cancel"),
    path(_ONE + "pause/", connections.connection_pause, name="connection_pause"),
    path(_ONE + "resume/", connections.connection_resume, name="connection_resume"),
    path(_ONE + "schedule/", schedules.connection_schedule, name="connection_schedule"),
    path(_ONE + "rename/", connections.connection_rename, name="connection_rename"),
    path(_ONE + "reconnect/", connections.connection_reconnect, name="connection_reconnect"),
    path(_ONE + "rights/", connections.connection_rights, name="connection_rights"),
    path(_ONE + "disconnect/", connections.connection_disconnect, name="connection_disconnect"),
    path(_ONE + "runs/<uuid:run>/", imports.connection_run, name="connection_run"),
    path(_ONE + "rejected/", quarantine.connection_rejected, name="connection_rejected"),
    path(_ONE + "rejected/retry/", quarantine.connection_retry, name="connection_retry"),
    path(_ONE + "rejected/ignore/", quarantine.connection_ignore, name="connection_ignore"),
    path(_ONE + "rejected/unignore/", quarantine.connection_unignore, name="connection_unignore"),
    path(
        _ONE + "rejected/<uuid:document>/",
        quarantine.connection_document,
        name="connection_document",
    ),
    path(_ONE + "removals/<uuid:hold>/", removals.connection_removals, name="connection_removals"),
    path(
        _ONE + "removals/<uuid:hold>/again/",
        removals.connection_recheck,
        name="connection_recheck",
    ),
    # Outside any tenant: Procountor knows one address a client. The walk's row says whose it is.
    path(
        "integrations/procountor/callback/", connect.procountor_callback, name="procountor_callback"
    ),
]
