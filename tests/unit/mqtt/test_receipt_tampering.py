"""Receipts: no byte of one can be changed and still say something."""

from random import Random

import pytest

from pipeline.mqtt.receipt import ReceiptError, open_receipt, seal_receipt
from tests.support.paper_log import signing_key

KEY = signing_key(60)
TRUSTED = {KEY.id: KEY.public}


def test_every_changed_byte_of_a_receipt_is_refused() -> None:
    receipt = seal_receipt(KEY, bytes(range(16)), [(0, 5), (300, 70_000), (2**40, 2**40 + 1)])
    good = open_receipt(receipt, TRUSTED)
    for position in range(len(receipt)):
        for mask in (0x01, 0x02, 0x10, 0x1C, 0x20, 0x7F, 0x80, 0xFF):
            changed = receipt[:position] + bytes([receipt[position] ^ mask]) + receipt[position + 1 :]
            try:
                opened = open_receipt(changed, TRUSTED)
            except ReceiptError:
                continue
            # Another way of writing the same number says the same.
            assert opened == good, (position, mask)


def test_no_random_bytes_are_a_receipt() -> None:
    random = Random(11)
    for _ in range(2000):
        with pytest.raises(ReceiptError):
            open_receipt(random.randbytes(random.randint(0, 200)), TRUSTED)
