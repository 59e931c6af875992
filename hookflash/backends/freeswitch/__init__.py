"""The FreeSWITCH backend: its event socket, read and written.

`client` is the backend: it keeps a `connection`. `hearing` reads what the switch reports, `looking`
asks what lives, `ordering` sends commands. What they stand on does no I/O on a network: `wire`
frames the bytes, `inbound` makes facts of the frames, `procedures` makes `primitives` of commands,
and `recording` reads back what once crossed a socket.
"""
