"""A request chooses sounds of its own, or does without those of its account: an empty text."""

from __future__ import annotations

import attrs
import msgspec
import pytest

from hookflash.api.requests import TransferRequest
from hookflash.codec import event_from, to_document
from hookflash.dialling.kazoo_options import options_from_kazoo, options_to_kazoo
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.errors import InputError
from hookflash.events import TransferOptions, TransferRequested
from hookflash.fsm.begin import chosen
from hookflash.fsm.policy import OPTIONAL_SOUNDS, Policy
from hookflash.sounds import Recording

LOUD = attrs.evolve(Policy(), **dict.fromkeys(OPTIONAL_SOUNDS, Recording("loud.wav")))
optional = pytest.mark.parametrize("name", sorted(OPTIONAL_SOUNDS))


@optional
def test_an_empty_text_switches_a_sound_off_and_nothing_leaves_it(name: str) -> None:
    options = options_from_kazoo({name: ""})
    assert getattr(chosen(LOUD, options), name) is None
    assert getattr(chosen(LOUD, TransferOptions()), name) == Recording("loud.wav")
    assert options_to_kazoo(options) == {name: ""}
    asked = TransferRequested(leg="a", transfer="t", target="2600", options=options)
    assert event_from(to_document(asked)) == asked
    request = msgspec.convert({"call_id": "a", "target": "2600", name: ""}, TransferRequest)
    assert options_from_kazoo(msgspec.to_builtins(request)) == options


@optional
def test_a_code_may_switch_a_sound_off_and_names_no_other_text(name: str) -> None:
    def written(text: object) -> object:
        return {"numbers": {"5": {"module": "transfer", "data": {"target": "2600", name: text}}}}

    ((_, entry),) = parse_metaflows(written("")).numbers
    assert getattr(entry.options, name) == ""
    for text in ("shell_stream://x", 5):
        with pytest.raises(InputError) as refused:
            parse_metaflows(written(text))
        assert str(refused.value).startswith(f'$.numbers."5".data.{name}')


@pytest.mark.parametrize("name", ["moh", "ringback", "accept_prompt"])
def test_a_sound_that_must_be_there_is_not_empty(name: str) -> None:
    with pytest.raises(InputError, match=name):
        options_from_kazoo({name: ""})
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({"call_id": "a", "target": "2600", name: ""}, TransferRequest)
