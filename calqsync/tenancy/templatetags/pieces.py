"""`{% piece "name" %}…{% endpiece %}`: a part of a page that may be kept (`tenancy.pieces`)."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


class PieceNode(template.Node):
    """Sees what the view put into `pieces.shown`, and nothing else of the page."""

    def __init__(self, name: str, nodelist: template.NodeList) -> None:
        self.name, self.nodelist = name, nodelist

    def render(self, context: template.Context) -> str:
        pieces = context["pieces"]

        def made() -> str:
            return self.nodelist.render(context.new(dict(pieces.shown)))

        # A node's text is not escaped again; this one was made by a template.
        text: str = pieces.text(self.name, made)
        return text


@register.tag
def piece(parser: Any, token: Any) -> PieceNode:
    """Keep what stands up to `endpiece` under this name, one name once a page."""
    _tag, name = token.split_contents()
    nodelist = parser.parse(("endpiece",))
    parser.delete_first_token()
    return PieceNode(name.strip('"'), nodelist)
