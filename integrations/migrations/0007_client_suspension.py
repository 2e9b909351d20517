import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from calqsync.tenancy.isolation.roles import APP

# A suspension is found once and ended once; what was found never changes, and nothing is deleted.
_ENDED_ONLY = (
    f'REVOKE UPDATE, DELETE ON "integrations_clientsuspension" FROM {APP};'
    " GRANT UPDATE (ended_at, ended_by_id, ended_because, ended_ticket)"
    f' ON "integrations_clientsuspension" TO {APP};'
)


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0006_staging_holds_quarantine'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ClientSuspension',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('client', models.CharField(max_length=16)),
                ('reason', models.CharField(choices=[('client', 'Procountor refused our client id'), ('companies', 'Procountor refused every company that we asked for')], max_length=10)),
                ('detail', models.CharField(max_length=300)),
                ('found_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_because', models.CharField(db_default='', max_length=300)),
                ('ended_ticket', models.CharField(db_default='', max_length=60)),
                ('ended_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name='clientsuspension',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('client',), name='suspended_once'),
        ),
        migrations.RunSQL(_ENDED_ONLY, migrations.RunSQL.noop),
    ]
