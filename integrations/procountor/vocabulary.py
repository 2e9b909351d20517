"""Procountor's words that we act on."""

from typing import Final

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
# Whether a document counts hangs on its status, so one that is in none of the sets is set aside.
KNOWN_STATUSES: Final = (
    BUSINESS_STATUSES
    | VOID_STATUSES
    | DRAFT_STATUSES
    | {"STARTED", "INVOICED", "OVERRIDDEN", "PAYMENT_TRANSACTION_REMOVED"}
)

# Procountor's default lists leave out what is void, or may: these are asked for by name.
CREDIT_LOSS: Final = "CREDITLOSS"

ALL_RIGHTS: Final = "ALL_RIGHTS"
VIEWING_RIGHTS: Final = "VIEWING_RIGHTS"
NO_ACCESS: Final = "NO_ACCESS"
NOT_ENABLED: Final = "NOT_ENABLED"
