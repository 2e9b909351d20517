"""docs/roles.md says who may open which page, and says it rightly."""

import re
from pathlib import Path

from django.conf import settings

from calqsync.tenancy.models import Role
from tests.architecture import routes

ROW = re.compile(r"^\| (\w+) \|[^|]*\|([^|]*)\|$", re.MULTILINE)
PAGE = re.compile(r"`(\w+)`(\\\*)?")


def written():
    """Each page of the table with its role and whether it is starred."""
    text = Path(settings.BASE_DIR, "docs", "roles.md").read_text()
    found = {}
    for role, pages in ROW.findall(text):
        if role not in Role.values:
            continue
        for name, star in PAGE.findall(pages):
            assert name not in found, f"{name} stands in two rows"
            found[name] = (Role(role), bool(star))
    return found


def test_the_table_of_roles_is_what_the_views_ask_for():
    asked = {page.name: (page.view.min_role, page.view.fresh) for page in routes.pages()}
    assert len(asked) > 40, "the walk found hardly any page, so it guards nothing"
    table = written()
    wrong = {
        name: {"views": asked.get(name), "docs/roles.md": table.get(name)}
        for name in asked.keys() | table.keys()
        if asked.get(name) != table.get(name)
    }
    assert wrong == {}
