"""Following the links of a company's pages as a reader does."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client
from django.urls import resolve

from tests.reporting.pages.conftest import text

_FORM = re.compile(r"<form\b([^>]*)>")
_LINK = re.compile(r'(?:href|hx-get)="([^"]+)"')
# Pages of one kind that are read: lists link to each of their rows.
_EACH = 2


def pages_of(client: Client, start: str) -> dict[str, str]:
    """Pages of the company that links lead to from `start`, some of each kind, by address.

    A link that does not open is an error.
    """
    found: dict[str, str] = {}
    kinds: dict[str, int] = {}
    waiting = [start]
    while waiting:
        address = waiting.pop()
        answer = client.get(address)
        assert answer.status_code == 200, f"a link leads to {address}: {answer.status_code}"
        is_page = answer["Content-Type"].startswith("text/html")
        found[address] = text(answer) if is_page else ""
        for link in _LINK.findall(found[address]):
            target = _whole(link, address)
            if target.startswith("/t/") and target not in [*found, *waiting]:
                kind = resolve(target.split("?")[0]).url_name
                kinds[kind] = kinds.get(kind, 0) + 1
                if kinds[kind] <= _EACH:
                    waiting.append(target)
    return found


def forms_of(pages: dict[str, str]) -> dict[str, set[str]]:
    """The addresses of the company that the pages' forms change things at, with the pages."""
    found: dict[str, set[str]] = {}
    for address, page in pages.items():
        for attributes in _FORM.findall(page):
            if 'method="post"' not in attributes:
                continue
            action = re.search(r'action="([^"]*)"', attributes)
            target = _whole(action[1] if action else "", address)
            if target.startswith("/t/"):
                found.setdefault(target.split("?")[0], set()).add(address)
    return found


def _whole(link: str, address: str) -> str:
    link = link.split("#")[0].replace("&amp;", "&")
    if not link or link.startswith("?"):
        return address.split("?")[0] + link
    return link


def needed(address: str) -> Any:
    """The role that the view at this address asks for."""
    return resolve(address).func.min_role
