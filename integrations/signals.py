"""What the books tell other rooms."""

from django.dispatch import Signal

# Sent in the transaction that completes a slice of import. Arguments: tenant_id, connection_id.
books_changed = Signal()
