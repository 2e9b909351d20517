"""The demo's people can do on the pages what the demo says they can."""

from allauth.mfa.totp.internal.auth import generate_totp_secret

from calqsync.local import people
from tests.tenancy.people import digits, second_step, sign_in


def test_support_staff_come_in_with_the_password_and_a_code_by_the_key(client, db):
    key = generate_totp_secret()
    for _again in range(2):
        people.support_staff("support@demo.example", "a long pass phrase", key)
    sign_in(client, "support@demo.example", "a long pass phrase")
    assert second_step(client, digits(key)).status_code == 302
    assert client.get("/account/").status_code == 200
