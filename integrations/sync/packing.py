"""Raw documents made small before they are sealed: what they all have in common is kept once.

zstandard with a dictionary: a text of the words that Procountor's documents share. It is part of
the stored format: with another text in its place, nothing that was packed could be read again. A
better one is added beside it, under a number of its own: the first byte says which.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence

import zstandard

_FIRST = b"\x01"
# What zlib writes first; documents were kept by it.
_ZLIB = b"\x78"
_ADDRESS = b'"name":"","street":"","zip":"","city":"","country":"FINLAND"}'
_SHARED = (
    # A partner and a product
    b'{"id":,"name":"","type":"CUSTOMER","address":{' + _ADDRESS + b',"invoicingInfo":{'
    b'"customerNumber":"","identifier":"","identifierType":"FI","invoiceChannel":"EMAIL",'
    b'"language":"FINNISH","email":""},"paymentInfo":{"factoringContractId":null,"paymentMethod":'
    b'"BANK_TRANSFER","paymentTermDays":"14","currency":"EUR"},"registryInfo":{"active":true,'
    b'"partnerGroups":[]},"additionalInfo":{},"contactPersons":[],"attachments":[],"version":"'
    b'{"id":,"type":"SALES","name":"","code":"","unit":"PIECE","discount":0.00,"price":,"vat":25.5'
    b',"active":true,"defaultAccount":"3000","vatStatus":1,"currency":"EUR","productGroupId":null'
    # A payment event
    b'{"id":,"invoiceId":,"paymentDate":"20","amount":,"receiverName":"","status":"PAID",'
    b'"paidAmount":,"paidCurrency":"EUR"}'
    # An invoice
    b'{"id":,"partnerId":,"type":"SALES_INVOICE","status":"PAID","date":"20","counterParty":{'
    b'"contactPersonName":"","identifier":"","customerNumber":"","email":"","counterPartyAddress":{'
    + _ADDRESS
    + b'},"billingAddress":{'
    + _ADDRESS
    + b',"deliveryAddress":{'
    + _ADDRESS
    + b',"paymentInfo":{"paymentMethod":"BANK_TRANSFER","currency":"EUR","bankAccount":{'
    b'"accountNumber":"FI","bic":""},"dueDate":"20","currencyRate":1,"bankReferenceCode":"",'
    b'"bankReferenceCodeType":"FI"},"extraInfo":{"accountingByRow":true,"unitPricesIncludeVat":'
    b'false},"discountPercent":0.00,"orderReference":"","invoiceNumber":,"vatStatus":1,'
    b'"originalInvoiceNumber":"","deliveryStartDate":"20","deliveryEndDate":"20",'
    b'"invoiceChannel":"EMAIL","penaltyPercent":8.00,"language":"FINNISH","invoiceRows":[{"id":,'
    b'"productId":,"product":"","quantity":1.00,"unit":"MONTH","unitPrice":,"discountPercent":0.00'
    b',"vatPercent":25.5,"vatStatus":1,"productCode":"","comment":"","startDate":"20","endDate":"20'
    b'","headerText":"","explanationText":""}],"additionalInformation":"","notes":"",'
    b'"ledgerReceiptId":,"factoringContractId":null,"creatorId":,"attachments":[],"isOffer":false,'
    b'"invoiceSumInfo":[{"currency":"EUR","inAccountingCurrency":true,"excludingVatTotal":,'
    b'"vatSumTotal":,"invoiceSumTotal":}],"paymentDate":"20","version":"20'
)


# Half the time of zstandard's own first level and a tenth more bytes: words are found again, but
# what stands between them is not coded.
_FAST = zstandard.ZstdCompressionParameters.from_level(1, hash_log=12, min_match=7, target_length=1)


class _Tools(threading.local):
    """A thread's own: neither side may be used by two at once."""

    def __init__(self) -> None:
        shared = zstandard.ZstdCompressionDict(_SHARED, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        compressor = zstandard.ZstdCompressor(compression_params=_FAST, dict_data=shared)
        self.pack, self.pack_all = compressor.compress, compressor.multi_compress_to_buffer
        self.unpack = zstandard.ZstdDecompressor(dict_data=shared).decompress


_tools = _Tools()


def packed(raw: bytes) -> bytes:
    return _FIRST + _tools.pack(raw)


def packed_together(raw: Sequence[bytes]) -> list[bytes]:
    """As `packed`, each of them. The lock of Python's interpreter is let go once instead of for
    each, which would cost threads that take it from each other several times the packing.
    """
    if not raw:
        return []
    frames = _tools.pack_all(list(raw))
    return [_FIRST + frames[n].tobytes() for n in range(len(frames))]


def unpacked(body: bytes) -> bytes:
    """The bytes that were packed; ValueError for what is neither of our formats."""
    try:
        if body[:1] == _FIRST:
            return _tools.unpack(body[1:])
        if body[:1] == _ZLIB:
            return zlib.decompress(body)
    except (zstandard.ZstdError, zlib.error) as error:
        raise ValueError(f"a damaged document: {error}") from None
    raise ValueError("a document in an unknown format")
