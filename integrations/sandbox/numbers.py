"""Identifiers with their check digits: business ids, references, IBANs."""

_BUSINESS_WEIGHTS = (7, 9, 10, 5, 8, 4, 2)


def business_id(serial: int) -> str:
    """A Finnish business id with a right check digit; serials that have none move on by one."""
    while True:
        digits = f"{serial % 10_000_000:07d}"
        rest = sum(int(d) * w for d, w in zip(digits, _BUSINESS_WEIGHTS, strict=True)) % 11
        if rest != 1:
            return f"{digits}-{0 if rest == 0 else 11 - rest}"
        serial += 1


def reference(serial: int) -> str:
    """A Finnish bank reference: the serial and its 7-3-1 check digit."""
    digits = str(serial)
    total = sum(int(d) * (7, 3, 1)[i % 3] for i, d in enumerate(reversed(digits)))
    return f"{digits}{-total % 10}"


def iban(account: str) -> str:
    """A Finnish IBAN for a 14-digit domestic account number."""
    check = 98 - int(f"{account}151800") % 97
    return f"FI{check:02d}{account}"
