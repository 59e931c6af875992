"""The modules of Asterisk that the instances load, by name.

Few modules start fast. Two are left out on purpose, and must stay out:

* `res_stasis_device_state`: a controller that reconnects at once can deadlock all of ARI.
* `bridge_native_rtp`: it hides the digits of two SIP legs that talk to each other.
"""

from __future__ import annotations

from typing import Final

_BASE: Final = """
    res_timing_timerfd res_sorcery_config res_sorcery_memory res_sorcery_astdb
    res_pjproject res_pjsip res_pjsip_session res_pjsip_sdp_rtp res_pjsip_caller_id
    res_pjsip_rfc3326 res_pjsip_endpoint_identifier_user res_pjsip_endpoint_identifier_ip
    res_pjsip_authenticator_digest res_pjsip_outbound_authenticator_digest
    res_pjsip_pubsub res_pjsip_logger res_pjsip_header_funcs res_rtp_asterisk chan_pjsip
    codec_ulaw codec_alaw codec_resample codec_a_mu format_pcm format_sln format_wav
    bridge_simple bridge_softmix bridge_holding bridge_builtin_features
    app_dial app_playback app_playtones app_stack app_verbose app_exec app_while app_echo
    app_senddtmf app_userevent
    func_callerid func_channel func_cut func_global func_logic func_math func_strings func_timeout
    func_hangupcause func_pjsip_endpoint func_pjsip_aor func_pjsip_contact
    pbx_config
"""
BASE: Final = tuple(_BASE.split())
"""What both instances need: SIP over UDP, bridges, the dialplan."""

_ON_THE_SWITCH: Final = """
    res_pjsip_registrar res_pjsip_nat res_pjsip_diversion res_pjsip_dtmf_info res_pjsip_refer
    res_musiconhold func_uuid func_db func_groupcount func_export app_read app_originate
    app_channelredirect app_chanspy func_dialplan
    res_crypto res_http_websocket res_websocket_client
    res_stasis res_stasis_answer res_stasis_playback res_stasis_recording res_stasis_snoop
    app_stasis
    res_ari res_ari_model res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels
    res_ari_endpoints res_ari_events res_ari_playbacks res_ari_recordings res_ari_sounds
"""
SWITCH: Final = (*BASE, *_ON_THE_SWITCH.split())
"""The switch also has registration, music on hold, and ARI."""

NEVER: Final = frozenset({"res_stasis_device_state", "bridge_native_rtp"})
"""Modules that break what is built on top (see the head of this module)."""
