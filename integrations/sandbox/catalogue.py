"""The price list of the invented software firm."""

from integrations.sandbox.model import Catalogue, Kind, Product

SUB, ONCE, USE, SKIP = Kind.SUBSCRIPTION, Kind.ONE_OFF, Kind.USAGE, Kind.IGNORE

# code, Finnish name, English name, unit, price in cents, kind, cadence in months
_ROWS: tuple[tuple[str, str, str, str, int, Kind, int], ...] = (
    ("BASIC-KK", "Basic, kuukausimaksu", "Basic plan, monthly", "MONTH", 149_00, SUB, 1),
    ("PRO-KK", "Pro, kuukausimaksu", "Pro plan, monthly", "MONTH", 390_00, SUB, 1),
    ("BUS-KK", "Business, kuukausimaksu", "Business plan, monthly", "MONTH", 890_00, SUB, 1),
    ("USER-KK", "Lisäkäyttäjä /kk", "Additional seat, per month", "PERSON", 19_00, SUB, 1),
    ("PRO-2KK", "Pro, 2 kk jakso", "Pro plan, two months", "PIECE", 760_00, SUB, 2),
    ("PRO-Q", "Pro, kvartaali", "Pro plan, quarterly", "PIECE", 1_110_00, SUB, 3),
    ("BUS-Q", "Business, neljännesvuosi", "Business plan, quarterly", "PIECE", 2_490_00, SUB, 3),
    ("MAINT-H", "Ylläpito, puolivuosi", "Maintenance, half year", "PIECE", 1_980_00, SUB, 6),
    ("PRO-Y", "Pro, vuosilisenssi", "Pro plan, annual licence", "YEAR", 3_900_00, SUB, 12),
    ("BUS-Y", "Business, vuosimaksu", "Business plan, annual", "YEAR", 8_900_00, SUB, 12),
    ("ENT-Y", "Enterprise, vuosisopimus", "Enterprise, annual", "PIECE", 18_000_00, SUB, 12),
    ("MODULE", "Raportointimoduuli", "Reporting module", "PIECE", 95_00, SUB, 1),
    ("SETUP", "Käyttöönotto", "Onboarding and setup", "PIECE", 1_500_00, ONCE, 0),
    ("CONS", "Konsultointi, tuntityö", "Consulting, hours", "HOUR", 120_00, ONCE, 0),
    ("TRAIN", "Koulutuspäivä", "Training day", "DAY", 980_00, ONCE, 0),
    ("TRAVEL", "Matkakulut, kilometrikorvaus", "Mileage", "KILOMETER", 55, ONCE, 0),
    ("DEVICE", "Päätelaite", "Scanner hardware", "PIECE", 349_00, ONCE, 0),
    ("API", "API-kutsut, käytön mukaan", "API calls, metered", "PIECE", 2, USE, 0),
    ("STORAGE", "Tallennustila, käyttö", "Storage used", "GIGABYTE", 35, USE, 0),
    ("DISCOUNT", "Sopimusalennus", "Contract discount", "PIECE", -50_00, SUB, 1),
    ("REMIND", "Maksumuistutus", "Payment reminder", "PIECE", 5_00, SKIP, 0),
    ("INTEREST", "Viivästyskorko", "Late payment interest", "PIECE", 10_00, SKIP, 0),
)
_INACTIVE = {"DEVICE"}
_PURCHASED = (("Palvelintila", "HOST", 420_00), ("Toimistotarvikkeet", "OFFICE", 60_00))


def build_catalogue(*, brand: str, english: bool, first_id: int) -> Catalogue:
    """The register with ids from `first_id`; names carry the firm's brand, as real ones do."""
    catalogue = Catalogue()
    for offset, (code, finnish, name, unit, cents, kind, cadence) in enumerate(_ROWS):
        label = name if english else finnish
        if kind is SUB and code not in {"DISCOUNT", "USER-KK"}:
            label = f"{brand} {label}"
        catalogue.products[code] = Product(
            id=first_id + offset,
            name=label,
            code=code,
            unit=unit,
            price=cents * 100,
            kind=kind,
            cadence=cadence,
            active=code not in _INACTIVE,
        )
    for offset, (label, code, cents) in enumerate(_PURCHASED, start=len(_ROWS)):
        catalogue.products[code] = Product(
            first_id + offset, label, code, "PIECE", cents * 100, Kind.IGNORE, type="PURCHASE"
        )
    return catalogue
