"""The channel variables that FreeSWITCH and its SIP endpoint set by themselves.

They come as `variable_NAME` with nearly every event. The emulator has no SIP and no media, so that
their description is invented, and the same for every leg except its numbers; counters of real
packets (`rtp_audio_…`) are left out. Numbers, causes and times are correct.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from hookflash.causes import FREESWITCH_CAUSES, LAST_OF_Q850, number_for
from hookflash.emulator.events import Value
from hookflash.emulator.leg_record import LegRecord

_AGENT: Final = "FreeSWITCH-mod_sofia/1.10.12-release~64bit"
_ALLOW: Final = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY"
_CODEC: Final = "CORE_PCM_MODULE.PCMU@8000h@20i@64000b"
_PROFILE: Final = {
    "sofia_profile_name": "internal",
    "sofia_profile_url": "sip:mod_sofia@127.0.0.1:5060",
    "recovery_profile_name": "internal",
}


def _sdp(port: int, direction: str = "") -> str:
    return (
        "v=0\r\no=FreeSWITCH 1795347021 1795347022 IN IP4 127.0.0.1\r\ns=FreeSWITCH\r\n"
        f"c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101 13\r\n"
        "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        f"a=rtpmap:13 CN/8000\r\na=ptime:20\r\n{direction}"
    )


def _ports(leg: LegRecord) -> tuple[int, int]:
    """The invented media ports: the switch's and the phone's."""
    return 20_000 + 2 * leg.session % 12_000, 40_000 + 2 * leg.session % 12_000


def _from(leg: LegRecord) -> dict[str, str]:
    shown = f'"{leg.original_name}" ' if leg.original_name else ""
    tag = f"t{leg.session:012d}"
    return {
        "sip_from_user": leg.original_number,
        "sip_from_uri": f"{leg.original_number}@127.0.0.1",
        "sip_from_host": "127.0.0.1",
        **({"sip_from_display": leg.original_name} if leg.original_name else {}),
        "sip_full_from": f"{shown}<sip:{leg.original_number}@127.0.0.1>;tag={tag}",
        "sip_from_tag": tag,
    }


def inbound_variables(leg: LegRecord) -> dict[str, Value]:
    """The variables from an incoming INVITE."""
    number = leg.destination
    port = _ports(leg)[1]
    return {
        "direction": "inbound",
        "uuid": leg.id,
        "call_uuid": leg.id,
        "session_id": str(leg.session),
        **_from(leg),
        "video_media_flow": "disabled",
        "audio_media_flow": "disabled",
        "text_media_flow": "disabled",
        "channel_name": leg.name,
        "sip_call_id": f"call-{leg.session}@127.0.0.1",
        "sip_local_network_addr": "127.0.0.1",
        "sip_network_ip": "127.0.0.1",
        "sip_network_port": "5090",
        "sip_invite_stamp": str(leg.created_us),
        "sip_received_ip": "127.0.0.1",
        "sip_received_port": "5090",
        "sip_via_protocol": "udp",
        "sip_from_user_stripped": leg.original_number,
        **_PROFILE,
        "sip_Remote-Party-ID": f'"{leg.original_name}" <sip:{leg.original_number}@127.0.0.1>'
        ";party=calling;screen=yes;privacy=off",
        "sip_cid_type": "rpid",
        "sip_full_via": f"SIP/2.0/UDP 127.0.0.1:5090;rport=5090;branch=z9hG4bK{leg.session}",
        "sip_full_to": f"<sip:{number}@127.0.0.1:5060>",
        "sip_allow": _ALLOW,
        "sip_req_user": number,
        "sip_req_port": "5060",
        "sip_req_uri": f"{number}@127.0.0.1:5060",
        "sip_req_host": "127.0.0.1",
        "sip_to_user": number,
        "sip_to_port": "5060",
        "sip_to_uri": f"{number}@127.0.0.1:5060",
        "sip_to_host": "127.0.0.1",
        "sip_contact_user": "mod_sofia",
        "sip_contact_port": "5090",
        "sip_contact_uri": "mod_sofia@127.0.0.1:5090",
        "sip_contact_host": "127.0.0.1",
        "rtp_use_codec_string": "PCMU",
        "sip_user_agent": _AGENT,
        "sip_via_host": "127.0.0.1",
        "sip_via_port": "5090",
        "sip_via_rport": "5090",
        "max_forwards": "70",
        "switch_r_sdp": _sdp(port),
        "ep_codec_string": _CODEC,
        "endpoint_disposition": "DELAYED NEGOTIATION",
    }


def dialplan_variables(leg: LegRecord, callee: LegRecord) -> dict[str, Value]:
    """The variables that the dialplan sets on a caller's leg when it has called the callee."""
    number = leg.destination
    return {
        "DP_MATCH": (number, number),
        "call_timeout": "30",
        "continue_on_fail": "false",
        "current_application": "bridge",
        "current_application_data": f"{{sip_invite_domain=127.0.0.1}}{callee.name}",
        "originate_disposition": "failure",
        "DIALSTATUS": "INVALIDARGS",
        "originate_signal_bond": callee.id,
        "originated_legs": f"{callee.id};Outbound Call;{callee.destination}",
        "switch_m_sdp": _sdp(_ports(callee)[1]),
    }


def outbound_variables(leg: LegRecord, originator: LegRecord | None) -> dict[str, Value]:
    """The variables of an outgoing INVITE.

    Args:
        leg: the called leg.
        originator: the leg for which it is called, if any.
    """
    local, _ = _ports(leg)
    of_originator: dict[str, Value] = {}
    if originator is not None:
        of_originator = {
            "sip_cid_type": "rpid",
            "max_forwards": "69",
            "originator_codec": _CODEC,
            "originator": originator.id,
            "signal_bond": originator.id,
            "switch_m_sdp": _sdp(_ports(originator)[1]),
            "sip_invite_domain": "127.0.0.1",
            "originating_leg_uuid": originator.id,
        }
    return {
        "direction": "outbound",
        "is_outbound": "true",
        "uuid": leg.id,
        "call_uuid": leg.call_uuid,
        "session_id": str(leg.session),
        "sip_local_network_addr": "127.0.0.1",
        "sip_profile_name": "internal",
        "video_media_flow": "disabled" if originator is None else "sendrecv",
        "text_media_flow": "disabled",
        "channel_name": leg.name,
        "sip_destination_url": f"sip:{leg.destination}@127.0.0.1:5090",
        **of_originator,
        "originate_early_media": "false" if originator is None else "true",
        "originate_endpoint": leg.endpoint,
        "rtp_use_codec_string": "PCMU" if originator is None else _CODEC,
        "local_media_ip": "127.0.0.1",
        "local_media_port": str(local),
        "advertised_media_ip": "127.0.0.1",
        "audio_media_flow": "sendrecv",
        "rtp_local_sdp_str": _sdp(local, "a=sendrecv\r\n"),
        "sip_outgoing_contact_uri": "<sip:mod_sofia@127.0.0.1:5060>",
        "sip_req_uri": f"{leg.destination}@127.0.0.1:5090",
        "sip_to_host": "127.0.0.1:5090",
        "sip_from_host": "127.0.0.1",
        **_PROFILE,
    }


def remote_variables(leg: LegRecord) -> dict[str, Value]:
    """The variables from the first response of a called phone."""
    number = leg.destination
    via = f"SIP/2.0/UDP 127.0.0.1;rport=5060;branch=z9hG4bK{leg.session}"
    tag = f"r{leg.session:012d}"
    return {
        "sip_reply_host": "127.0.0.1",
        "sip_reply_port": "5090",
        "sip_network_ip": "127.0.0.1",
        "sip_network_port": "5090",
        "sip_user_agent": _AGENT,
        "sip_allow": _ALLOW,
        "sip_recover_contact": f"<sip:{number}@127.0.0.1:5090;transport=udp>",
        "sip_full_via": via,
        "sip_recover_via": via,
        **_from(leg),
        "sip_full_to": f"<sip:{number}@127.0.0.1:5090>;tag={tag}",
        "sip_to_user": number,
        "sip_to_port": "5090",
        "sip_to_uri": f"{number}@127.0.0.1:5090",
        "sip_to_host": "127.0.0.1",
        "sip_contact_params": "transport=udp",
        "sip_contact_user": number,
        "sip_contact_port": "5090",
        "sip_contact_uri": f"{number}@127.0.0.1:5090",
        "sip_contact_host": "127.0.0.1",
        "sip_to_tag": tag,
        "sip_cseq": str(123_145_160 + leg.session),
        "sip_call_id": f"call-{leg.session}@127.0.0.1",
    }


def media_variables(leg: LegRecord) -> dict[str, Value]:
    """The variables of a negotiated codec."""
    local, remote = _ports(leg)
    return {
        "switch_r_sdp": _sdp(remote),
        "ep_codec_string": _CODEC,
        **({"video_media_flow": "inactive", "text_media_flow": "inactive"} if leg.inbound else {}),
        "remote_video_media_flow": "inactive",
        "remote_text_media_flow": "inactive",
        "remote_audio_media_flow": "sendrecv",
        "audio_media_flow": "sendrecv",
        "rtp_audio_recv_pt": "0",
        "rtp_use_codec_name": "PCMU",
        "rtp_use_codec_rate": "8000",
        "rtp_use_codec_ptime": "20",
        "rtp_use_codec_channels": "1",
        "rtp_last_audio_codec_string": "PCMU@8000h@20i@1c",
        "read_codec": "PCMU",
        "original_read_codec": "PCMU",
        "read_rate": "8000",
        "original_read_rate": "8000",
        "write_codec": "PCMU",
        "write_rate": "8000",
        "dtmf_type": "rfc2833",
        "local_media_ip": "127.0.0.1",
        "local_media_port": str(local),
        "advertised_media_ip": "127.0.0.1",
        "rtp_use_timer_name": "soft",
        "rtp_use_pt": "0",
        "rtp_use_ssrc": str(3_071_320_000 + leg.session),
        "rtp_2833_send_payload": "101",
        "rtp_2833_recv_payload": "101",
        "remote_media_ip": "127.0.0.1",
        "remote_media_port": str(remote),
        **({"endpoint_disposition": "EARLY MEDIA"} if leg.inbound else {}),
    }


def answered_variables(leg: LegRecord) -> dict[str, Value]:
    """The variables of a caller's leg after its answer."""
    return {"rtp_local_sdp_str": _sdp(_ports(leg)[0], "a=sendrecv\r\n")}


def disposition(leg: LegRecord) -> str:
    """The variable that names the side that hung up."""
    return "send_bye" if leg.ended_by_switch else "recv_bye"


def bridged_variables(leg: LegRecord) -> dict[str, Value]:
    """The variables of a caller's leg after its first bridge began."""
    return {
        "sip_to_tag": f"r{leg.session:012d}",
        "sip_cseq": str(123_145_160 + leg.session),
    }


def left_variables(leaver: LegRecord) -> dict[str, Value]:
    """The variables on both legs of a bridge that ended because one of them hung up."""
    return {
        "sip_reason": _reason(leaver.cause),
        "sip_hangup_phrase": "OK",
        "last_bridge_hangup_cause": leaver.cause,
        "last_bridge_proto_specific_hangup_cause": "sip:200",
        "bridge_hangup_cause": leaver.cause,
    }


def _reason(cause: str) -> str:
    """SIP's `Reason` (RFC 3326)."""
    return f'Q.850;cause={FREESWITCH_CAUSES.get(cause, 0)};text="{cause}"'


_STATUS: Final = {
    "USER_BUSY": ("486", "Busy Here"),
    "CALL_REJECTED": ("603", "Decline"),
    "NO_ROUTE_DESTINATION": ("404", "Not Found"),
    "UNALLOCATED_NUMBER": ("404", "Not Found"),
    "USER_NOT_REGISTERED": ("480", "Temporarily Unavailable"),
}
"""SIP's reason phrases for the causes with which phones refuse (RFC 4497, section 8.4.4)."""


def closing_variables(leg: LegRecord) -> dict[str, Value]:
    """The variables of a SIP leg's first event after a hang-up, if a SIP message ended it."""
    if leg.endpoint != "sofia" or leg.ended_by_switch:
        return {}
    if leg.answered_us:
        return {
            "sip_reason": _reason(leg.cause),
            "sip_term_status": "200",
            "proto_specific_hangup_cause": "sip:200",
            "sip_term_cause": str(FREESWITCH_CAUSES.get(leg.cause, 0)),
        }
    status, phrase = _STATUS.get(leg.cause, ("480", "Temporarily Unavailable"))
    return {
        "sip_hangup_disposition": "recv_refuse",
        "sip_invite_failure_status": status,
        "sip_invite_failure_phrase": phrase,
        "sip_term_status": status,
        "proto_specific_hangup_cause": f"sip:{status}",
        "sip_term_cause": str(FREESWITCH_CAUSES.get(leg.cause, 0)),
    }


def stamp(us: int) -> str:
    """Write a time as FreeSWITCH does; its local time is UTC here."""
    return f"{datetime.fromtimestamp(us // 1_000_000, tz=UTC):%Y-%m-%d %H:%M:%S}"


def record_variables(leg: LegRecord) -> dict[str, Value]:
    """The call's record: the times and durations of a leg that has ended."""
    variables: dict[str, Value] = {
        "hangup_cause": leg.cause,
        "hangup_cause_q850": str(_q850(leg.cause)),
        "digits_dialed": leg.digits or "none",
    }
    if leg.answered_us and leg.endpoint == "sofia":
        variables["sip_hangup_disposition"] = disposition(leg)
    elif leg.ended_by_switch and leg.endpoint == "sofia":
        variables |= {
            "sip_hangup_disposition": "send_cancel",
            "sip_invite_failure_status": "487",
            "sip_invite_failure_phrase": "CANCEL",
        }
    moments = {
        "start": leg.created_us,
        "profile_start": leg.profile_us,
        "answer": leg.answered_us,
        "bridge": leg.bridged_us,
        "last_hold": 0,
        "resurrect": 0,
        "progress": leg.progress_us,
        "progress_media": leg.media_us,
        "end": leg.hangup_us,
    }
    variables |= {f"{name}_stamp": stamp(us) for name, us in moments.items() if us}
    for name, us in moments.items():
        variables |= {f"{name}_epoch": str(us // 1_000_000), f"{name}_uepoch": str(us)}
    variables |= {f"hold_accum_{unit}": "0" for unit in ("seconds", "usec", "ms")}
    caller = f'"{leg.caller_name}" <{leg.caller_number}>' if leg.caller_name else leg.caller_number
    variables["caller_id"] = caller
    return variables | _durations(leg) | _last_application(leg)


def _q850(cause: str) -> int:
    """The number of a cause; FreeSWITCH's own causes count as normal clearing."""
    number = number_for(cause)
    return number if number <= LAST_OF_Q850 else number_for("NORMAL_CLEARING")


def _durations(leg: LegRecord) -> dict[str, Value]:
    def since(us: int) -> int:
        return us - leg.created_us if us else 0

    spans = {
        "": leg.hangup_us - leg.created_us,
        "bill": leg.hangup_us - leg.answered_us if leg.answered_us else 0,
        "progress": since(leg.progress_us),
        "answer": since(leg.answered_us),
        "wait": since(leg.bridged_us),
        "progress_media": since(leg.media_us),
        "flow_bill": leg.hangup_us - leg.created_us,
    }
    variables: dict[str, Value] = {}
    for name, us in spans.items():
        if name:
            variables |= {f"{name}sec": str(us // 1_000_000), f"{name}msec": str(us // 1000)}
            variables[f"{name}usec"] = str(us)
        else:
            variables |= {"duration": str(us // 1_000_000), "mduration": str(us // 1000)}
            variables["uduration"] = str(us)
    return variables


def _last_application(leg: LegRecord) -> dict[str, Value]:
    variables: dict[str, Value] = {}
    if "current_application" in leg.variables:
        variables["last_app"] = leg.variables["current_application"]
    if "current_application_data" in leg.variables:
        variables["last_arg"] = leg.variables["current_application_data"]
    return variables
