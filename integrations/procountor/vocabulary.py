"""Procountor's words that we act on. A word outside these sets is kept and breaks nothing."""

from typing import Final, Literal

SALES_INVOICE: Final = "SALES_INVOICE"
PURCHASE_INVOICE: Final = "PURCHASE_INVOICE"
SALES_ORDER: Final = "SALES_ORDER"

# The documents that Procountor itself counts as business transactions; drafts, documents under
# verification and invalidated ones stand outside the books.
BUSINESS_STATUSES: Final = frozenset(
    {
        "NOT_SENT",
        "SENT",
        "APPROVED",
        "PARTLY_PAID",
        "PAID",
        "MARKED_PAID",
        "PAYMENT_DENIED",
        "PAYMENT_QUEUED",
        "PAYMENT_SENT_TO_BANK",
    }
)

# An issued document in one of these may still receive payments.
OPEN_STATUSES: Final = frozenset({"NOT_SENT", "SENT", "APPROVED", "PARTLY_PAID"})
PAID_STATUSES: Final = frozenset({"PAID", "MARKED_PAID"})
VOID_STATUSES: Final = frozenset({"INVALIDATED", "DELETED"})
DRAFT_STATUSES: Final = frozenset({"UNFINISHED", "EMPTY", "UNSAVED", "RECEIVED", "VERIFIED"})

# Procountor's default lists leave out what is void, or may: these are asked for by name.
CREDIT_LOSS: Final = "CREDITLOSS"

ALL_RIGHTS: Final = "ALL_RIGHTS"
VIEWING_RIGHTS: Final = "VIEWING_RIGHTS"
NO_ACCESS: Final = "NO_ACCESS"
NOT_ENABLED: Final = "NOT_ENABLED"

Order = Literal["id", "version"]
