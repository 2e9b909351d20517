from django.db import migrations

from calqsync.tenancy.isolation.rls import GRANTED, policy
from calqsync.tenancy.isolation.roles import SUPPORT

# Under a grant support sees which documents were set aside and why; never the document.
_SET_ASIDE = (
    policy(
        "integrations_rejection", "support_rows", role=SUPPORT, command="SELECT", using=GRANTED
    )
    + " GRANT SELECT (id, tenant_id, connection_id, stream, external_id, reason, first_seen_at,"
    f' last_seen_at) ON "integrations_rejection" TO {SUPPORT};'
)


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0002_renewals_pauses_deletions'),
        ('tenancy', '0004_support_sees_who_is_invited'),
    ]

    operations = [
        migrations.RunSQL(_SET_ASIDE, migrations.RunSQL.noop),
    ]
