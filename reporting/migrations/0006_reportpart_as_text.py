from django.db import migrations

import reporting.models.texts


class Migration(migrations.Migration):
    dependencies = [("reporting", "0005_reportpart_digest")]

    operations = [
        migrations.AlterField(
            model_name="reportpart",
            name="body",
            field=reporting.models.texts.JsonText(default=dict),
        ),
    ]
