from django.db import migrations

from calqsync.tenancy.isolation.rls import policy
from calqsync.tenancy.isolation.roles import SUPPORT

# Who is invited, so that support can send the mail again; never what opens an invitation.
_INVITED = (
    policy("tenancy_invitation", "support_directory", role=SUPPORT, command="SELECT", using="true")
    + " GRANT SELECT (id, tenant_id, public_id, email, role, invited_by_id, created_at, sent_at,"
    f' delivery, expires_at, accepted_at) ON "tenancy_invitation" TO {SUPPORT};'
)
# What happened to accounts and connections; decisions about the books open under a grant only.
_ACTS = "('connection', 'invitation', 'member', 'plan', 'support', 'sync', 'tenant', 'trial')"
_AUDITED = policy(
    "tenancy_auditevent",
    "support_directory",
    role=SUPPORT,
    command="SELECT",
    using=f"split_part(act, '.', 1) IN {_ACTS}",
)
# Of a person everything but the password.
_PEOPLE = (
    f'GRANT SELECT (is_superuser, terms_version, terms_accepted_at) ON "tenancy_user" TO {SUPPORT};'
)


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0003_invitation_delivery'),
    ]

    operations = [
        migrations.RunSQL(_INVITED, migrations.RunSQL.noop),
        migrations.RunSQL(_AUDITED, migrations.RunSQL.noop),
        migrations.RunSQL(_PEOPLE, migrations.RunSQL.noop),
    ]
