"""The FreeSWITCH backend, on its event socket.

`client` is the backend: it keeps a `connection`. `hearing` reads events, `looking` asks for the
living legs, `ordering` sends commands. The modules below them do no network I/O: `wire` splits the
bytes into frames, `inbound` turns frames into facts, `procedures` turns commands into `primitives`,
and `recording` reads recorded sessions.
"""
