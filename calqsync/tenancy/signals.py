"""What rooms above do for this one."""

from django.dispatch import Signal

# Sent in the transaction that wants a letter to go out, with `letter`, `about`, `member`, `until`.
letter_wanted = Signal()
