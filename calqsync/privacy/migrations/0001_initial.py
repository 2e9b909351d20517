import calqsync.tenancy.owned
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
from django.conf import settings
from django.db import migrations, models

from calqsync.tenancy.isolation.rls import USER, SecureTables, policy
from calqsync.tenancy.isolation.roles import APP

# The ledger can be added to and read, never changed.
_LEDGER = f'REVOKE UPDATE, DELETE ON "privacy_erasure" FROM {APP};'

# The app's role may not delete audit rows, but it may delete the row of a tenant that is
# otherwise empty; the database then takes the audit rows along, by this key alone.
_AUDIT_GOES_WITH_ITS_TENANT = (
    'ALTER TABLE "tenancy_auditevent" ADD CONSTRAINT "tenancy_auditevent_erased_with_tenant"'
    ' FOREIGN KEY (tenant_id) REFERENCES "tenancy_tenant" (id) ON DELETE CASCADE;'
)
_AUDIT_STAYS = (
    'ALTER TABLE "tenancy_auditevent" DROP CONSTRAINT "tenancy_auditevent_erased_with_tenant";'
)

# Who deletes their account sees in which companies an invitation to their address waits.
_INVITED = policy(
    "tenancy_invitation",
    "invited_rows",
    role=APP,
    command="SELECT",
    using=f"lower(email) = (SELECT lower(u.email) FROM tenancy_user u WHERE u.id = {USER})",
)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('tenancy', '0002_who_may_look_in'),
    ]

    operations = [
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('tenant', 'Tenant'), ('person', 'Person'), ('contact', 'Contact')], max_length=10)),
                ('subject', models.UUIDField()),
                ('tenant_number', models.BigIntegerField(null=True)),
                ('mark', models.CharField(blank=True, max_length=64)),
                ('asked_by', models.UUIDField(null=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('kind', 'subject', 'mark'), name='erasure_once')],
            },
        ),
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(db_default=calqsync.tenancy.owned.PublicId(), editable=False)),
                ('requested_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Being written'), ('ready', 'Ready'), ('failed', 'Failed'), ('cancelled', 'Stopped'), ('expired', 'Expired')], default='queued', max_length=10)),
                ('as_of', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField(null=True)),
                ('rows', models.BigIntegerField(default=0)),
                ('expected', models.BigIntegerField(default=0)),
                ('bytes', models.BigIntegerField(default=0)),
                ('sha256', models.CharField(blank=True, max_length=64)),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenancy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='ExportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('body', models.BinaryField()),
                ('export', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='privacy.export')),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenancy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.UniqueConstraint(fields=('tenant', 'public_id'), name='export_public_id'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running'])), fields=('tenant',), name='export_open_once'),
        ),
        migrations.AddConstraint(
            model_name='exportpart',
            constraint=models.UniqueConstraint(fields=('tenant', 'export', 'position'), name='export_part_once'),
        ),
        SecureTables(hidden=["export", "exportpart"]),
        migrations.RunSQL(_LEDGER, migrations.RunSQL.noop),
        migrations.RunSQL(_AUDIT_GOES_WITH_ITS_TENANT, _AUDIT_STAYS),
        migrations.RunSQL(_INVITED, migrations.RunSQL.noop),
    ]
