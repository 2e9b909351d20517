from django.urls import path

from calqsync.tenancy import views
from calqsync.tenancy.support import consent
from calqsync.tenancy.tokens import pages as tokens

urlpatterns = [
    path("", views.home, name="home"),
    path("terms/", views.terms, name="terms"),
    path("companies/new/", views.company_create, name="company_create"),
    path("invite/", views.invitation_held, name="invitation_held"),
    path("invite/<str:token>/", views.invitation, name="invitation"),
    path("t/<slug:slug>/settings/company/", views.company, name="settings_company"),
    path("t/<slug:slug>/settings/team/", views.team, name="settings_team"),
    path("t/<slug:slug>/settings/team/invite/", views.invite, name="team_invite"),
    path(
        "t/<slug:slug>/settings/team/invitations/<uuid:public_id>/resend/",
        views.invitation_resend,
        name="invitation_resend",
    ),
    path(
        "t/<slug:slug>/settings/team/invitations/<uuid:public_id>/revoke/",
        views.invitation_revoke,
        name="invitation_revoke",
    ),
    path(
        "t/<slug:slug>/settings/team/members/<uuid:public_id>/",
        views.member_edit,
        name="member_edit",
    ),
    path("t/<slug:slug>/settings/security/", views.security, name="settings_security"),
    path("t/<slug:slug>/settings/security/consent/", consent.consent_set, name="support_consent"),
    path(
        "t/<slug:slug>/settings/security/support/<uuid:public_id>/",
        consent.grant_answer,
        name="support_answer",
    ),
    path(
        "t/<slug:slug>/settings/security/support/<uuid:public_id>/end/",
        consent.grant_end,
        name="support_end",
    ),
    path("t/<slug:slug>/settings/tokens/", tokens.tokens, name="settings_tokens"),
    path("t/<slug:slug>/settings/tokens/new/", tokens.token_create, name="token_create"),
    path(
        "t/<slug:slug>/settings/tokens/<uuid:public_id>/revoke/",
        tokens.token_revoke,
        name="token_revoke",
    ),
    path("t/<slug:slug>/settings/audit/", views.audit_log, name="settings_audit"),
]
