import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.manager
import datetime
from django.db import migrations, models

import calqsync.tenancy.owned
from calqsync.tenancy.isolation.rls import TOKEN, USER, SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0006_grants_end'),
    ]

    operations = [
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(db_default=calqsync.tenancy.owned.PublicId(), editable=False)),
                ('name', models.CharField(max_length=60, verbose_name='name')),
                ('token_hash', models.CharField(max_length=64)),
                ('ending', models.CharField(max_length=4)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), default=list, size=None)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('last_used_on', models.DateField(null=True)),
                ('membership', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenancy.membership')),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenancy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['token_hash'], name='api_token_lookup')],
                'constraints': [
                    models.UniqueConstraint(fields=('tenant', 'public_id'), name='api_token_public_id'),
                    models.UniqueConstraint(fields=('tenant', 'token_hash'), name='api_token_hash'),
                    models.CheckConstraint(condition=models.Q(('expires_at__lte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '+', models.Value(datetime.timedelta(days=367))))), name='api_token_ends'),
                ],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables(
            directory=["membership", "supportgrant"],
            hidden=["invitation", "apitoken"],
            append_only=["auditevent"],
            also_visible={
                "membership": f"user_id = {USER}",
                "invitation": f"token_hash = {TOKEN}",
                "apitoken": f"token_hash = {TOKEN}",
            },
        ),
    ]
