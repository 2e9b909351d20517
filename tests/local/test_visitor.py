import pytest
import responses

from calqsync.local.errors import StackError
from calqsync.local.visitor import Visitor

SITE = "http://site.example"
PAGE = """
<a href="/next/"><span>Next</span> page</a>
<form method="post" action="/go/"><input type="hidden" name="token" value="t1">
<input name="name" value="old"><input type="checkbox" name="off" value="1">
<label><input type="radio" name="company" value="7"> Kuusi Oy (123)</label>
<label><input type="radio" name="company" value="9"> Uusi Aalto Oy (789)</label>
<label><input type="radio" name="company" value="8"> Aalto Oy (456)</label>
<select name="size"><option value="s">S</option><option value="m" selected>M</option></select>
<button type="submit" name="action" value="yes">Go on</button>
<button type="submit" name="action" value="no">Cancel</button></form>
"""


@pytest.fixture
def visitor():
    with responses.RequestsMock() as web:
        web.get(f"{SITE}/", body=PAGE)
        visitor = Visitor(SITE)
        visitor.web = web
        visitor.open("/")
        yield visitor


def test_pressing_a_button_sends_its_form_with_the_values_given(visitor):
    sent = {"token": "t1", "name": "new", "size": "m", "company": "8", "action": "yes"}
    visitor.web.post(f"{SITE}/go/", match=[responses.matchers.urlencoded_params_matcher(sent)])
    visitor.press("Go on", {"name": "new", "company": visitor.choice("company", "Aalto Oy")})


def test_pressing_a_link_follows_it(visitor):
    visitor.web.get(f"{SITE}/next/", body="there")
    visitor.press("Next page")
    assert visitor.html == "there"


def test_a_missing_button_is_told(visitor):
    with pytest.raises(StackError, match='has no "Fly"'):
        visitor.press("Fly")


def test_a_refusal_is_told_with_what_the_page_says(visitor):
    visitor.web.post(
        f"{SITE}/go/", status=422, body='<p class="error">This name is taken.</p><p>x</p>'
    )
    with pytest.raises(StackError, match=r"422: This name is taken\."):
        visitor.press("Go on")
