from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reporting", "0004_flaws_and_apart")]

    operations = [
        migrations.AddField(
            model_name="reportpart",
            name="digest",
            field=models.CharField(db_default="", default="", max_length=32),
        ),
    ]
