"""The look keeps its promises: contrast in light and dark, size, and no other host."""

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings

STATIC = Path(settings.BASE_DIR) / "calqsync" / "static"
CSS = (STATIC / "css" / "tokens.css").read_text()
BLOCK = re.compile(r"--([\w-]+): (#[0-9a-f]{6});")


def block(selector):
    start = CSS.index(selector)
    return dict(BLOCK.findall(CSS[start : CSS.index("}", start)]))


LIGHT = block(":root {")
DARK = block(':root[data-theme="dark"]')
DARK_BY_SYSTEM = block(':root:not([data-theme="light"])')


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_switch_and_the_system_give_the_same_dark():
    assert DARK
    assert DARK == DARK_BY_SYSTEM


@pytest.mark.parametrize("theme", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["bg", "surface", "surface-2", "hover"])
@pytest.mark.parametrize("text", ["ink", "muted", "accent", "good", "warn", "bad", "mute"])
def test_words_can_be_read_on_every_ground(theme, ground, text):
    assert contrast(theme[text], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
@pytest.mark.parametrize("tone", ["good", "warn", "bad", "mute", "accent"])
def test_badges_can_be_read(theme, tone):
    assert contrast(theme[tone], theme[f"{tone}-soft"]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
def test_every_kind_of_figure_stands_out_from_its_ground(theme):
    kinds = {name: value for name, value in theme.items() if name.startswith("kind-")}
    assert len(kinds) >= 12
    faint = [name for name, value in kinds.items() if contrast(value, theme["surface"]) < 3]
    assert faint == []


@pytest.mark.parametrize("theme", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
def test_fields_have_an_edge_that_can_be_seen(theme):
    assert contrast(theme["control"], theme["surface"]) >= 3


def test_our_styles_and_scripts_stay_small():
    files = [*STATIC.glob("css/*.css"), *STATIC.glob("js/*.js"), *STATIC.glob("img/*.svg")]
    assert len(files) > 8
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 120_000


def test_nothing_is_asked_from_another_host():
    files = [*STATIC.glob("css/*.css"), *STATIC.glob("js/*.js")]
    asking = [p.name for p in files if re.search(r"https?://|@import|url\(", p.read_text())]
    assert asking == []
