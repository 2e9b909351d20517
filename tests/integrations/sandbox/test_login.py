"""Key login and the code flow, from the login page to a bearer token."""

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from integrations.sandbox import Company, Handle

CALLBACK = "http://app.example/callback/"
CLIENT = {"client_id": "calqsync", "client_secret": "calqsync-secret"}


def walk(handle: Handle, page: str, company: Company, action: str = "choose") -> dict[str, str]:
    """Go through the pages as a browser would; returns the fields of the callback."""
    query = {
        "response_type": "code",
        "client_id": "calqsync",
        "redirect_uri": CALLBACK,
        "state": "s&1",
    }
    session = requests.Session()
    url = session.get(f"{handle.base_url}/{page}", params=query).url
    form = {"username": "maija.malli", "password": "malli-2026", "action": "login"}
    choice = session.post(url, data=form).text
    ticket = choice.split('name="ticket" value="')[1].split('"')[0]
    form = {"ticket": ticket, "company": str(company.id), "action": action}
    back = session.post(url, data=form, allow_redirects=False)
    assert back.status_code == 302
    target = urlsplit(back.headers["Location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == CALLBACK
    return {name: values[0] for name, values in parse_qs(target.query).items()}


def post(handle: Handle, path: str, **form: str) -> requests.Response:
    return requests.post(f"{handle.base_url}/api/oauth/{path}", data={**CLIENT, **form})


def test_key_login_gives_a_key_whose_token_reads_the_chosen_company(
    shared: Handle, aalto: Company
) -> None:
    fields = walk(shared, "keylogin", aalto)
    assert fields["state"] == "s&1"
    assert fields["expires_in"] == "300"
    swap = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code": fields["code"]}
    key = post(shared, "key", **swap).json()["api_key"]
    token = post(shared, "token", grant_type="client_credentials", api_key=key).json()
    assert set(token) == {"access_token", "expires_in"}
    session = requests.get(
        f"{shared.base_url}/api/sessioninfo",
        headers={"Authorization": f"Bearer {token['access_token']}"},
    ).json()
    assert session["companyId"] == aalto.id
    assert post(shared, "key", **swap).status_code == 401


def test_code_flow_gives_a_refresh_token_that_is_not_rotated(
    shared: Handle, kuusi: Company
) -> None:
    code = walk(shared, "login", kuusi)["code"]
    first = post(
        shared, "token", grant_type="authorization_code", redirect_uri=CALLBACK, code=code
    ).json()
    assert set(first) == {"access_token", "refresh_token", "expires_in"}
    again = post(
        shared, "token", grant_type="refresh_token", refresh_token=first["refresh_token"]
    ).json()
    assert set(again) == {"access_token", "expires_in"}


def test_cancel_returns_access_denied_with_the_state(shared: Handle, kuusi: Company) -> None:
    assert walk(shared, "keylogin", kuusi, "cancel") == {"error": "access_denied", "state": "s&1"}


def test_a_login_code_cannot_be_swapped_for_a_key(shared: Handle, kuusi: Company) -> None:
    code = walk(shared, "login", kuusi)["code"]
    refused = post(shared, "key", grant_type="authorization_code", redirect_uri=CALLBACK, code=code)
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["status"] == 401


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?client_id=calqsync", {}),
        ("", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
    ],
)
def test_token_endpoint_takes_credentials_in_a_body_without_charset_only(
    shared: Handle, query: str, headers: dict[str, str]
) -> None:
    answer = requests.post(
        f"{shared.base_url}/api/oauth/token{query}",
        data={**CLIENT, "grant_type": "client_credentials", "api_key": "x"},
        headers=headers,
    )
    assert answer.status_code == 400


def test_a_wrong_redirect_uri_never_leaves_the_login_page(shared: Handle) -> None:
    answer = requests.get(
        f"{shared.base_url}/keylogin",
        params={
            "response_type": "code",
            "client_id": "calqsync",
            "redirect_uri": "http://evil.example/",
        },
    )
    assert answer.status_code == 400


def test_a_wrong_password_asks_again(shared: Handle) -> None:
    answer = requests.post(
        f"{shared.base_url}/login",
        params={"response_type": "code", "client_id": "calqsync", "redirect_uri": CALLBACK},
        data={"username": "maija.malli", "password": "no", "action": "login"},
    )
    assert "Wrong user name or password" in answer.text
