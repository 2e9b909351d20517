from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0002_turns'),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='wanted_priority',
            field=models.PositiveSmallIntegerField(choices=[(0, 'Interactive'), (1, 'Scheduled'), (2, 'Backfill')], null=True),
        ),
    ]
