"""What is packed comes back byte for byte; what another format wrote is read, damage is told."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sync.packing import packed, packed_together, unpacked

# Packed by the first dictionary: as long as a database holds such documents, this must be read.
SAID = (
    b'{"id":7997,"invoiceId":82201001,"paymentDate":"2024-01-08","amount":3966.26,'
    b'"receiverName":"Example Oy","status":"PAID","paidAmount":3966.26,"paidCurrency":"EUR"}'
)
KEPT = bytes.fromhex(
    "0128b52ffd20a27502009402373939374964223a383232303130303132342d30312d3038333936362e32364578616d"
    "706c65204f790b002a2605026b3062a68051208024b728c33c8d84397223a103e559d2e915f26fc840"
)


@given(st.binary(max_size=2000))
def test_any_bytes_come_back(raw):
    assert unpacked(packed(raw)) == raw


@given(st.lists(st.binary(min_size=1, max_size=2000)))
def test_many_are_packed_as_each_would_be(raw):
    assert packed_together(raw) == [packed(one) for one in raw]


def test_what_was_packed_with_the_first_dictionary_stays_readable():
    assert unpacked(KEPT) == SAID


def test_what_zlib_packed_is_read():
    assert unpacked(zlib.compress(b'{"id":1}', 1)) == b'{"id":1}'


@pytest.mark.parametrize("body", [b"", b"\x02abc", b"\x01abc", b"\x78abc", packed(b"{}")[:-1]])
def test_damage_is_told(body):
    with pytest.raises(ValueError, match="document"):
        unpacked(body)
