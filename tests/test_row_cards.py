"""Each row has its card, and does what its card says."""

import pytest
from row_cards import FOLDER, cards_of, text_of

from hookflash.events import Kind
from hookflash.specs.catalog import SPEC_FOR


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", Kind)
def test_each_row_does_what_its_card_says(kind: Kind) -> None:
    cards = cards_of(kind)
    assert list(cards) == [row.key for row in SPEC_FOR[kind].rows]
    kept = (FOLDER / f"{kind.value}.txt").read_text(encoding="utf-8")
    assert text_of(cards) == kept, "a row changed: if it was meant, run tests/row_cards.py"
