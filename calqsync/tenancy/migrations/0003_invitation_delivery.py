from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0002_who_may_look_in'),
    ]

    operations = [
        migrations.AddField(
            model_name='invitation',
            name='delivery',
            field=models.CharField(choices=[('waiting', 'Being sent'), ('later', 'Not sent yet, trying again'), ('sent', 'Sent'), ('refused', 'Could not be sent')], default='waiting', max_length=10),
        ),
    ]
