import pickle

import pytest

from integrations.procountor import errors, redaction

EVERY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.ProcountorError)
]


def test_every_failure_has_its_own_kind_and_an_advice():
    assert len(EVERY) > 10
    assert len({failure.kind for failure in EVERY}) == len(EVERY)
    for failure in EVERY:
        assert failure.advice.endswith(".")
        assert "!" not in failure.advice


def test_a_known_secret_is_hidden_by_its_value():
    redaction.remember("s3cret-value-1")
    assert "s3cret-value-1" not in str(errors.OurFault("we sent s3cret-value-1 there"))


@pytest.mark.parametrize(
    "text",
    [
        "client_secret=hunter22&x=1",
        '{"api_key": "hunter22"}',
        "Authorization: Bearer hunter22",
        "'refresh_token': 'hunter22'",
        "code=hunter22",
        "bearer hunter22",
        '{"access_token":"hunter22',
    ],
)
def test_a_secret_is_hidden_by_the_name_beside_it(text):
    assert "hunter22" not in redaction.clean(text)


def test_a_jwt_is_hidden_wherever_it_stands():
    assert redaction.clean("got eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc-_9 back") == "got [hidden] back"


def test_ordinary_words_stay_readable():
    said = "paymentInfo.dueDate: DUE_DATE_BEFORE_BILL_DATE"
    assert redaction.clean(said) == said


def test_the_original_text_cannot_be_dug_out_of_the_error():
    redaction.remember("s3cret-value-2")
    failure = errors.TryLater("x s3cret-value-2", retry_after=3)
    assert "s3cret-value-2" not in repr(failure)
    assert "s3cret-value-2" not in "".join(map(str, failure.args))


def test_a_failure_survives_the_way_between_processes():
    back = pickle.loads(pickle.dumps(errors.RateLimited("busy", retry_after=3, status=429)))
    assert (type(back), back.retry_after, back.status) == (errors.RateLimited, 3, 429)


def test_a_wrong_company_names_both():
    failure = errors.WrongCompany(expected=1, found=2)
    assert (failure.expected, failure.found) == (1, 2)


def test_only_passing_troubles_are_for_later():
    later = {failure.kind for failure in EVERY if issubclass(failure, errors.TryLater)}
    assert later == {"try_later", "timed_out", "rate_limited", "client_suspended"}
