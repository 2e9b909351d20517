from integrations.models.books import (
    BankAccount,
    BankEvent,
    BankStatement,
    Customer,
    ErasedContact,
    Invoice,
    InvoiceLine,
    Payment,
    Product,
    RawDocument,
)
from integrations.models.client import ClientSuspension
from integrations.models.connections import ConnectFlow, Connection, Credential, TokenRenewal
from integrations.models.runs import (
    Rejection,
    RemovalHold,
    StagedPage,
    StreamCursor,
    SyncRun,
    SyncStream,
)

__all__ = [
    "BankAccount",
    "BankEvent",
    "BankStatement",
    "ClientSuspension",
    "ConnectFlow",
    "Connection",
    "Credential",
    "Customer",
    "ErasedContact",
    "Invoice",
    "InvoiceLine",
    "Payment",
    "Product",
    "RawDocument",
    "Rejection",
    "RemovalHold",
    "StagedPage",
    "StreamCursor",
    "SyncRun",
    "SyncStream",
    "TokenRenewal",
]
