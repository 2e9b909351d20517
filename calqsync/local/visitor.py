"""Walks through pages as a person without JavaScript would: follow links, fill in forms.

The demo connects its sandbox companies this way, so that what it shows has come over the same
sign-in, redirects and confirm page as a real company's data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

from calqsync.local.errors import StackError

TIMEOUT_SECONDS = 60


@dataclass
class Form:
    """One form with its fields' present values, its choices, and the texts of its buttons."""

    action: str = ""
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)
    # For each group of radio buttons: (value, the text beside it).
    choices: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    # (text, name, value) of each submit button.
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


class Visitor:
    """A browser session of one person. Every step raises StackError when a page refuses."""

    def __init__(self, address: str) -> None:
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy stands between two programs of this machine
        self.url = address
        self.html = ""
        self._page = _Page()

    def open(self, path: str) -> None:
        """Go to an address; relative ones are resolved against the current page."""
        self._take("GET", urljoin(self.url, path))

    def press(self, text: str, values: dict[str, str] | None = None) -> None:
        """Fill in the form with this button and press it; a link with that text is followed."""
        for form in self._page.forms:
            for label, name, value in form.buttons:
                if label == text:
                    extra = {name: value} if name else {}
                    self._submit(form, {**form.fields, **(values or {}), **extra})
                    return
        for label, target in self._page.links:
            if label == text:
                self.open(target)
                return
        raise StackError(f'The page {self.url} has no "{text}".')

    def choice(self, name: str, text: str) -> str:
        """The value of the radio button in group `name` whose text begins with `text`."""
        for form in self._page.forms:
            for value, label in form.choices.get(name, []):
                if label.startswith(text):
                    return value
        raise StackError(f'The page {self.url} offers no "{text}".')

    def has(self, text: str) -> bool:
        """Whether the page has a button or link with that text."""
        buttons = [label for form in self._page.forms for label, _, _ in form.buttons]
        return text in buttons or text in [label for label, _ in self._page.links]

    def _submit(self, form: Form, data: dict[str, str]) -> None:
        target = urljoin(self.url, form.action or self.url)
        if form.method == "post":
            self._take("POST", target, data=data)
        else:
            self._take("GET", target, query=data)

    def _take(
        self,
        method: str,
        url: str,
        *,
        data: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> None:
        headers = {"Referer": self.url}
        try:
            answer = self.session.request(
                method, url, params=query, data=data, headers=headers, timeout=TIMEOUT_SECONDS
            )
        except requests.RequestException as problem:
            raise StackError(f"{url} did not answer: {problem}") from problem
        self.url, self.html = answer.url, answer.text
        self._page = _Page()
        self._page.feed(self.html)
        if answer.status_code >= 400:
            said = " ".join(self._page.problems) or answer.reason
            raise StackError(f"{answer.url} answered {answer.status_code}: {said}")


class _Page(HTMLParser):
    """The forms, links and error texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self._form: Form | None = None
        self._text: list[str] = []
        self._button: tuple[str, str] | None = None
        self._link: str | None = None
        self._radio: tuple[str, str] | None = None
        self._select = ""
        self._alert = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if values.get("role") == "alert" or "error" in values.get("class", ""):
            self._alert, self._text = 1, []
        if tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "input":
            self._input(values)
        elif tag == "select":
            self._select = values.get("name", "")
        elif tag == "option" and self._form and self._select:
            if "selected" in values or self._select not in self._form.fields:
                self._form.fields[self._select] = values.get("value", "")
        elif tag == "textarea" and self._form:
            self._form.fields[values.get("name", "")] = ""
        elif tag == "button" and values.get("type", "submit") == "submit":
            self._button, self._text = (values.get("name", ""), values.get("value", "")), []
        elif tag == "a":
            self._link, self._text = values.get("href", ""), []

    def _input(self, values: dict[str, str]) -> None:
        kind, name = values.get("type", "text"), values.get("name", "")
        if self._form is None:
            return
        if kind == "submit":
            self._form.buttons.append((values.get("value", ""), name, values.get("value", "")))
        elif kind == "radio":
            self._radio, self._text = (name, values.get("value", "")), []
            self._form.choices.setdefault(name, []).append((values.get("value", ""), ""))
            if "checked" in values:
                self._form.fields[name] = values.get("value", "")
        elif kind == "checkbox":
            if "checked" in values:
                self._form.fields[name] = values.get("value", "on")
        elif name and kind not in ("button", "reset", "file"):
            self._form.fields[name] = values.get("value", "")

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        text = " ".join("".join(self._text).split())
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "button" and self._button is not None:
            if self._form:
                self._form.buttons.append((text, *self._button))
            self._button = None
        elif tag == "a" and self._link is not None:
            self.links.append((text, self._link))
            self._link = None
        elif tag == "label" and self._radio and self._form:
            name, value = self._radio
            self._form.choices[name][-1] = (value, text)
            self._radio = None
        if self._alert and tag in ("p", "div", "li", "ul", "span"):
            if text:
                self.problems.append(text)
            self._alert = 0
