"""What may be said of products: how their customers buy them, all customers together."""

from __future__ import annotations

from reporting.domain.votes import Vote, votes
from reporting.services.keeping import kept


def product_votes() -> dict[int, Vote]:
    """The vote on each registered product, by its id, as of the last publication; {} before it."""
    state = kept()
    found = votes(state.sums.tallies) if state else {}
    return {int(ref[1:]): vote for ref, vote in found.items() if ref.startswith("p")}
