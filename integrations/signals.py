"""What the books tell other rooms."""

from django.dispatch import Signal

# Sent in the transaction that completes a slice of import. Arguments: tenant_id, connection_id;
# where it is known, customer_ids, whose documents or data may be others now, and bank, whether
# statements or accounts may. Who says nothing of these means anybody's, and the bank's.
books_changed = Signal()
