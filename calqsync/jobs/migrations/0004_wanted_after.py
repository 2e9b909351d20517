from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0003_wanted_priority'),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='wanted_after',
            field=models.DateTimeField(null=True),
        ),
    ]
