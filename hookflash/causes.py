"""Why a call ended: the numbers of ITU-T Q.850, and FreeSWITCH's words for them.

Events and commands carry the word (`USER_BUSY`); switches and SIP's `Reason` header carry the
number (17). FreeSWITCH has causes of its own above 127. Some rare causes of Q.850 have no word in
FreeSWITCH; this module adds words in the same style.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNSPECIFIED: Final = "NORMAL_UNSPECIFIED"
"""Cause 31, which stands for an unknown cause."""

LAST_OF_Q850: Final = 127
"""The largest number of Q.850; larger ones are FreeSWITCH's own."""

_OF_FREESWITCH: Final = {
    "UNALLOCATED_NUMBER": 1,
    "NO_ROUTE_TRANSIT_NET": 2,
    "NO_ROUTE_DESTINATION": 3,
    "CHANNEL_UNACCEPTABLE": 6,
    "CALL_AWARDED_DELIVERED": 7,
    "NORMAL_CLEARING": 16,
    "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18,
    "NO_ANSWER": 19,
    "SUBSCRIBER_ABSENT": 20,
    "CALL_REJECTED": 21,
    "NUMBER_CHANGED": 22,
    "REDIRECTION_TO_NEW_DESTINATION": 23,
    "EXCHANGE_ROUTING_ERROR": 25,
    "DESTINATION_OUT_OF_ORDER": 27,
    "INVALID_NUMBER_FORMAT": 28,
    "FACILITY_REJECTED": 29,
    "RESPONSE_TO_STATUS_ENQUIRY": 30,
    "NORMAL_UNSPECIFIED": 31,
    "NORMAL_CIRCUIT_CONGESTION": 34,
    "NETWORK_OUT_OF_ORDER": 38,
    "NORMAL_TEMPORARY_FAILURE": 41,
    "SWITCH_CONGESTION": 42,
    "ACCESS_INFO_DISCARDED": 43,
    "REQUESTED_CHAN_UNAVAIL": 44,
    "PRE_EMPTED": 45,
    "FACILITY_NOT_SUBSCRIBED": 50,
    "OUTGOING_CALL_BARRED": 52,
    "INCOMING_CALL_BARRED": 54,
    "BEARERCAPABILITY_NOTAUTH": 57,
    "BEARERCAPABILITY_NOTAVAIL": 58,
    "SERVICE_UNAVAILABLE": 63,
    "BEARERCAPABILITY_NOTIMPL": 65,
    "CHAN_NOT_IMPLEMENTED": 66,
    "FACILITY_NOT_IMPLEMENTED": 69,
    "SERVICE_NOT_IMPLEMENTED": 79,
    "INVALID_CALL_REFERENCE": 81,
    "INCOMPATIBLE_DESTINATION": 88,
    "INVALID_MSG_UNSPECIFIED": 95,
    "MANDATORY_IE_MISSING": 96,
    "MESSAGE_TYPE_NONEXIST": 97,
    "WRONG_MESSAGE": 98,
    "IE_NONEXIST": 99,
    "INVALID_IE_CONTENTS": 100,
    "WRONG_CALL_STATE": 101,
    "RECOVERY_ON_TIMER_EXPIRE": 102,
    "MANDATORY_IE_LENGTH_ERROR": 103,
    "PROTOCOL_ERROR": 111,
    "INTERWORKING": 127,
    "ORIGINATOR_CANCEL": 487,
    "CRASH": 500,
    "SYSTEM_SHUTDOWN": 501,
    "LOSE_RACE": 502,
    "MANAGER_REQUEST": 503,
    "BLIND_TRANSFER": 600,
    "ATTENDED_TRANSFER": 601,
    "ALLOTTED_TIMEOUT": 602,
    "USER_CHALLENGE": 603,
    "MEDIA_TIMEOUT": 604,
    "PICKED_OFF": 605,
    "USER_NOT_REGISTERED": 606,
    "PROGRESS_TIMEOUT": 607,
    "INVALID_GATEWAY": 608,
    "GATEWAY_DOWN": 609,
    "INVALID_URL": 610,
    "INVALID_PROFILE": 611,
    "NO_PICKUP": 612,
    "SRTP_READ_ERROR": 613,
    "BOWOUT": 614,
    "BUSY_EVERYWHERE": 615,
    "DECLINE": 616,
    "DOES_NOT_EXIST_ANYWHERE": 617,
    "NOT_ACCEPTABLE": 618,
    "UNWANTED": 619,
    "NO_IDENTITY": 620,
    "BAD_IDENTITY_INFO": 621,
    "UNSUPPORTED_CERTIFICATE": 622,
    "INVALID_IDENTITY": 623,
    "STALE_DATE": 624,
    "REJECT_ALL": 625,
}

_OF_Q850_ALONE: Final = {
    "SEND_SPECIAL_INFORMATION_TONE": 4,
    "MISDIALLED_TRUNK_PREFIX": 5,
    "PREEMPTION": 8,
    "PREEMPTION_CIRCUIT_RESERVED": 9,
    "NUMBER_PORTED": 14,
    "CALL_REJECTED_BY_FEATURE": 24,
    "NON_SELECTED_USER_CLEARING": 26,
    "PERMANENT_FRAME_OUT_OF_SERVICE": 39,
    "PERMANENT_FRAME_OPERATIONAL": 40,
    "PRECEDENCE_CALL_BLOCKED": 46,
    "RESOURCE_UNAVAILABLE": 47,
    "QOS_UNAVAILABLE": 49,
    "OUTGOING_CALL_BARRED_IN_CUG": 53,
    "INCOMING_CALL_BARRED_IN_CUG": 55,
    "INCONSISTENT_ACCESS_INFO": 62,
    "RESTRICTED_DIGITAL_ONLY": 70,
    "CHANNEL_NONEXIST": 82,
    "NO_SUCH_SUSPENDED_CALL": 83,
    "CALL_IDENTITY_IN_USE": 84,
    "NO_CALL_SUSPENDED": 85,
    "SUSPENDED_CALL_CLEARED": 86,
    "NOT_MEMBER_OF_CUG": 87,
    "NONEXISTENT_CUG": 90,
    "INVALID_TRANSIT_NET": 91,
    "PARAMETER_NONEXIST": 110,
}

FREESWITCH_CAUSES: Final[Mapping[str, int]] = MappingProxyType(_OF_FREESWITCH)
"""The causes that FreeSWITCH 1.10 has a word for, and accepts."""

CAUSES: Final[Mapping[str, int]] = MappingProxyType({**_OF_FREESWITCH, **_OF_Q850_ALONE})
"""All causes."""

_WORDS: Final = {number: word for word, number in CAUSES.items()}


BUSY: Final = frozenset(("USER_BUSY", "CALL_REJECTED", "BUSY_EVERYWHERE", "DECLINE"))
"""Causes by which a party that was called says that it has no time now."""

NO_SUCH_NUMBER: Final = frozenset(
    ("UNALLOCATED_NUMBER", "NO_ROUTE_DESTINATION", "INVALID_NUMBER_FORMAT")
)
"""Causes by which the switch says that a number leads nowhere."""


def word_for(number: int) -> str:
    """Return the word for a number; `NORMAL_UNSPECIFIED` if it is unknown."""
    return _WORDS.get(number, UNSPECIFIED)


def number_for(word: str) -> int:
    """Return the number of a cause; 31 (`NORMAL_UNSPECIFIED`) if it is unknown."""
    return CAUSES.get(word, CAUSES[UNSPECIFIED])
