import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0011_tenant_through_the_connection'),
    ]

    operations = [
        migrations.AddField(
            model_name='clientsuspension',
            name='witnesses',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
        ),
    ]
