from collections.abc import Iterator
from datetime import date

import pytest

from integrations.sandbox import Company, Handle, build_company, start_server

ANCHOR = date(2026, 11, 1)


@pytest.fixture(scope="session")
def kuusi() -> Company:
    return build_company("kuusi", anchor=ANCHOR)


@pytest.fixture(scope="session")
def aalto() -> Company:
    return build_company("aalto-us", anchor=ANCHOR)


@pytest.fixture(scope="session")
def shared(kuusi: Company, aalto: Company) -> Iterator[Handle]:
    """A sandbox that tests only read from."""
    with start_server([kuusi, aalto], redirect_uri="http://app.example/callback/") as handle:
        yield handle


@pytest.fixture
def koivu() -> Company:
    """A small company of the test's own, to be changed at will."""
    return build_company("koivu", anchor=ANCHOR)
