import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from calqsync.tenancy.isolation.rls import TOKEN, USER, SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0003_support_reads_rejections'),
    ]

    operations = [
        migrations.CreateModel(
            name='ErasedContact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mark', models.CharField(max_length=64)),
                ('tag', models.CharField(max_length=12)),
                ('erased_at', models.DateTimeField()),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenancy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'mark'), name='erased_contact_once')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables(
            directory=["connection", "syncrun", "syncstream", "streamcursor"],
            hidden=[
                "credential", "tokenrenewal", "connectflow", "rawdocument", "rejection",
                "erasedcontact",
            ],
            also_visible={"connectflow": f"state_hash = {TOKEN} OR user_id = {USER}"},
        ),
    ]
