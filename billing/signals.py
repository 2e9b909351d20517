"""What other rooms may want to know about plans."""

from django.dispatch import Signal

# Sent in the transaction that gives a tenant the right to import again.
imports_allowed = Signal()
