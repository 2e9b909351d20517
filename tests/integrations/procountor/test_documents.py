import json
from hashlib import sha256

import pytest

from integrations.procountor import records
from integrations.procountor.documents import Reader, elements_of_batch, envelope
from integrations.procountor.errors import Nonsense

from .examples import INVOICE, PRODUCT, numbered


def body_of(*documents: object) -> bytes:
    return json.dumps({"results": documents}).encode()


def test_the_evidence_is_the_exact_slice_of_the_answer():
    odd = b'{"results": [ {"id":1, "name" :"\\u00c4 \xc3\x84","price":1.10}  ,{"id":2,"name":"b"}]}'
    found, rejected, ids = Reader(records.Product).read(envelope(odd).elements)
    assert found[0].raw == b'{"id":1, "name" :"\\u00c4 \xc3\x84","price":1.10}'
    assert found[0].digest == sha256(found[0].raw).digest()
    assert found[0].record.name == "Ä Ä"
    assert (found[1].external_id, rejected, ids) == ("2", (), (1, 2))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": "a lot"}, "price"),
        ({"name": None}, "name"),
        ({"version": "2026-13-45T25:00:00"}, "version"),
        ({"price": 10**20}, "out of bounds"),
    ],
)
def test_one_bad_document_is_set_aside_and_the_page_stands(change, reason):
    bad = numbered(PRODUCT, 2, **change)
    body = body_of(numbered(PRODUCT, 1), bad, numbered(PRODUCT, 3))
    found, rejected, ids = Reader(records.Product).read(envelope(body).elements)
    assert [document.external_id for document in found] == ["1", "3"]
    assert (rejected[0].external_id, ids) == ("2", (1, 2, 3))
    assert reason in rejected[0].reason
    assert json.loads(rejected[0].raw) == bad


def test_a_document_without_a_readable_id_is_set_aside_too():
    found, rejected, ids = Reader(records.Product).read(
        envelope(body_of({"id": "x"}, 17, None)).elements
    )
    assert (found, ids) == ((), (None, None, None))
    assert [one.external_id for one in rejected] == ["", "", ""]


def test_text_that_is_not_utf8_costs_only_its_own_document():
    body = b'{"results":[{"id":1,"name":"\xe4"},{"id":2,"name":"b"}]}'
    found, rejected, _ = Reader(records.Product).read(envelope(body).elements)
    assert [one.external_id for one in (*rejected, *found)] == ["1", "2"]


@pytest.mark.parametrize("body", [b'{"meta":{}}', b'{"results":[]}', b'{"results":[],"meta":{}}'])
def test_missing_results_are_an_empty_list(body):
    assert envelope(body).elements == []


def test_older_product_lists_are_read_as_well():
    assert len(envelope(b'{"products":[{"id":1}]}').elements) == 1


@pytest.mark.parametrize(
    "body",
    [b"[]", b"[{}]", b"<html>", b'{"results":[{"id":1},{"id"', b'{"results":{}}', b"", b"{}"]
    + [b'{"message":"done"}', b'{"errors":[]}', b'{"results":null}'],
)
def test_a_list_in_another_shape_is_nonsense(body):
    with pytest.raises(Nonsense):
        envelope(body)


def test_a_batch_may_come_as_an_array_or_as_one_object():
    reader = Reader(records.Invoice)
    bare = reader.read(elements_of_batch(json.dumps(INVOICE).encode()))[0]
    array = reader.read(elements_of_batch(json.dumps([INVOICE]).encode()))[0]
    assert bare == array


@pytest.mark.parametrize("wrap", [b"[%b]", b"%b"])
def test_half_a_character_costs_no_document(wrap):
    body = json.dumps(INVOICE | {"notes": "HERE"}).encode()
    for said, read in (
        (rb"\ud83d", "\ufffd"),
        (rb"\uDE80 x", "\ufffd x"),
        (rb"\ud83d\ude80", "\U0001f680"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
    ):
        told = wrap % body.replace(b"HERE", said)
        [document] = Reader(records.Invoice).read(elements_of_batch(told))[0]
        assert document.record.notes == read


@pytest.mark.parametrize("body", [b'{"id":1,', b'[{"id":1}', b'{"errors":[]}', b'"x"'])
def test_a_batch_in_another_shape_is_nonsense(body):
    with pytest.raises(Nonsense):
        elements_of_batch(body)
