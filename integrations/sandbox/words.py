"""Invented names of firms, streets and towns; every character exists in Windows-1252."""

FIRM_STEMS = (
    "Aurinkolahti", "Harju", "Honka", "Hämeen", "Ilves", "Jokiranta", "Järvi", "Kaisla", "Kallio",
    "Kanerva", "Karhu", "Kataja", "Kielo", "Kivi", "Korpi", "Koski", "Kumpu", "Kurki", "Laine",
    "Lehto", "Leppä", "Lumi", "Lähde", "Mansikka", "Meri", "Metsä", "Mänty", "Niitty", "Nuotio",
    "Oja", "Onni", "Otava", "Paju", "Peltola", "Pihlaja", "Pohja", "Poro", "Puro", "Pöllö",
    "Ranta", "Revontuli", "Runko", "Saari", "Salo", "Sampo", "Sarka", "Siipi", "Sointu", "Suo",
    "Särkkä", "Tammi", "Taival", "Tuisku", "Tuomi", "Tähti", "Vaahtera", "Valo", "Varjo", "Virta",
    "Vuori", "Väylä", "Ylä", "Åland", "Ängsö",
)  # fmt: skip
FIRM_TRADES = (
    "Kauppa", "Logistiikka", "Energia", "Rakennus", "Media", "Terveys", "Tekniikka", "Ravinto",
    "Talous", "Palvelut", "Konepaja", "Huolto", "Koulutus", "Vakuutus", "Matkailu", "Kiinteistöt",
)  # fmt: skip
FOREIGN_STEMS = (
    "Alder", "Birchwood", "Brightwater", "Cedar", "Clearfield", "Copper Hill", "Eastgate", "Elmore",
    "Fairhaven", "Granite", "Harbor", "Hollow Oak", "Ironbridge", "Juniper", "Kestrel", "Lakeview",
    "Maple", "Northwind", "Orchard", "Pinecrest", "Quarry", "Redstone", "Silver Lake", "Tidewater",
    "Union Mill", "Valley", "Westbrook", "Willow",
)  # fmt: skip
FOREIGN_TRADES = (
    "Analytics", "Health", "Labs", "Logistics", "Media", "Robotics", "Software", "Supply",
    "Systems",
)  # fmt: skip
STREETS = (
    "Testikatu", "Mallikuja", "Esimerkintie", "Satamakatu", "Kirkkokatu", "Asemakatu", "Puistotie",
    "Rantatie", "Torikatu", "Tehtaankuja",
)  # fmt: skip
TOWNS = (
    ("00100", "Helsinki"), ("02100", "Espoo"), ("01300", "Vantaa"), ("33100", "Tampere"),
    ("20100", "Turku"), ("90100", "Oulu"), ("40100", "Jyväskylä"), ("15110", "Lahti"),
    ("65100", "Vaasa"), ("22100", "Mariehamn"), ("06100", "Porvoo"), ("53100", "Lappeenranta"),
)  # fmt: skip
FOREIGN_TOWNS = {
    "UNITED_STATES_OF_AMERICA":
        (("02110", "Boston"), ("10001", "New York"), ("94105", "San Francisco")),
    "SWEDEN": (("111 20", "Stockholm"), ("411 05", "Göteborg")),
    "GERMANY": (("10115", "Berlin"), ("80331", "München")),
    "NORWAY": (("0150", "Oslo"),),
    "UNITED_KINGDOM": (("EC1A 1BB", "London"),),
}  # fmt: skip
MONTHS = {
    "FINNISH": (
        "tammikuu", "helmikuu", "maaliskuu", "huhtikuu", "toukokuu", "kesäkuu", "heinäkuu",
        "elokuu", "syyskuu", "lokakuu", "marraskuu", "joulukuu",
    ),
    "SWEDISH": (
        "januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september",
        "oktober", "november", "december",
    ),
    "ENGLISH": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
}  # fmt: skip
