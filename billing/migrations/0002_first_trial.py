from django.db import migrations, models

from calqsync.tenancy.isolation.rls import TOKEN, policy
from calqsync.tenancy.isolation.roles import APP

# A row is there for who names its hash, and for nobody else; it is written once.
_ONE_AT_A_TIME = (
    'ALTER TABLE "billing_firsttrial" ENABLE ROW LEVEL SECURITY;'
    ' ALTER TABLE "billing_firsttrial" FORCE ROW LEVEL SECURITY; '
    + policy("billing_firsttrial", "asked_rows", role=APP, using=f"books = {TOKEN}")
    + f' REVOKE UPDATE, DELETE ON "billing_firsttrial" FROM {APP};'
)


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='FirstTrial',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('books', models.CharField(max_length=64, unique=True)),
                ('first_seen_by', models.CharField(max_length=64)),
                ('ends_at', models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(_ONE_AT_A_TIME, migrations.RunSQL.noop),
    ]
