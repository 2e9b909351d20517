"""What a reader must know before trusting a figure."""

from __future__ import annotations

from django.utils.translation import gettext as _

from reporting.selectors.frame import Published, Words


def loading_notes(found: Published, words: Words) -> list[str]:
    """What a reader must know before trusting a figure: loading, left out, guessed."""
    notes = []
    if back_to := found.body["complete_back_to"]:
        notes.append(
            _("Still importing: complete back to %(month)s. “New” is provisional until then.")
            % {"month": words.month(back_to[:7], long=True)}
        )
    texts = {
        "connection_other_currency": _(
            "%(name)s keeps its books in %(currency)s and is left out of these figures."
        ),
        "connection_loading": _("%(name)s is still importing and is left out until it is whole."),
        "account_other_currency": _(
            "The bank account %(iban)s is in %(currency)s and is left out of cash."
        ),
        "credits_unmatched": _(
            "%(count)s credit notes match no invoice; each lowers one month from its date."
        ),
        "invoices_without_customer": _(
            "%(count)s invoices name no customer; they stand in no MRR."
        ),
        "negative_customers": _(
            "In %(count)s cases credits exceeded invoices; those customers count as 0."
        ),
    }
    # For readers of aggregates the notes say that something is left out, but not which account.
    unnamed = {"name": _("A connected account"), "iban": _("of the company")}
    notes += [texts[note["code"]] % {**unnamed, **note["params"]} for note in found.body["notes"]]
    return notes
