"""The companies that the sandbox can make, by slug."""

from datetime import date
from pathlib import Path

from integrations.sandbox import cache
from integrations.sandbox.calendars import first_of_running_month
from integrations.sandbox.company import Company
from integrations.sandbox.making import make_company
from integrations.sandbox.model import Profile

USA = "UNITED_STATES_OF_AMERICA"
_ABROAD = (("USD", USA, 5), ("SEK", "SWEDEN", 6), ("EUR", "GERMANY", 6))
_NEAR = (("USD", USA, 14), ("SEK", "SWEDEN", 12), ("EUR", "GERMANY", 8))

PROFILES = {
    profile.slug: profile
    for profile in (
        Profile("kuusi", "Kuusi Data Oy", 10452, 2_458_113, 30, 68, foreign=_NEAR),
        Profile(
            "aalto-us",
            "Aalto Analytics Inc",
            10873,
            3_071_224,
            30,
            26,
            foreign=(("USD", USA, 85), ("GBP", "UNITED_KINGDOM", 8)),
            burn_share=35,
            runway_months=15,
            traps=False,
            english=True,
        ),
        Profile("koivu", "Koivu Software Oy", 11290, 2_790_551, 26, 18, burn_share=20, traps=False),
        Profile(
            "medium",
            "Medium Saas Oy",
            12001,
            2_611_907,
            36,
            0,
            foreign=_ABROAD,
            target_invoices=25_000,
            daily_statements=True,
            id_base=1_000_000,
        ),
        Profile(
            "half-large",
            "Half Large Saas Oy",
            12003,
            2_633_451,
            48,
            0,
            foreign=_ABROAD,
            target_invoices=100_000,
            daily_statements=True,
            id_base=4_000_000,
        ),
        Profile(
            "large",
            "Large Saas Oy",
            12002,
            2_622_118,
            60,
            0,
            foreign=_ABROAD,
            target_invoices=200_000,
            daily_statements=True,
            id_base=2_000_000,
        ),
    )
}
SMALL = ("kuusi", "aalto-us", "koivu")


def expand(names: list[str]) -> list[str]:
    """Slugs from names; `small` stands for the three small companies."""
    slugs: list[str] = []
    for name in names:
        slugs.extend(SMALL if name == "small" else (name,))
    unknown = sorted(set(slugs) - set(PROFILES))
    if unknown:
        raise ValueError(f"unknown company {unknown[0]}; known: small, {', '.join(PROFILES)}")
    return list(dict.fromkeys(slugs))


def build_company(
    slug: str, *, seed: int = 7, anchor: date | None = None, data_dir: Path | None = None
) -> Company:
    """The company of that slug; documents end on the anchor (first of the running month).

    With a data folder, a large company is made once and mapped from disk from then on.
    """
    profile = PROFILES[slug]
    anchor = (anchor or first_of_running_month()).replace(day=1)
    if data_dir is None or profile.target_invoices is None:
        return make_company(profile, seed=seed, anchor=anchor)
    folder = cache.folder_of(data_dir, profile, seed, anchor)
    found = cache.load(folder, profile, seed, anchor)
    if found is None:
        cache.save(make_company(profile, seed=seed, anchor=anchor), folder)
        found = cache.load(folder, profile, seed, anchor)
    assert found is not None
    return found
