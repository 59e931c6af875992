"""The FreeSWITCH backend: its event socket, read and written.

`wire` frames the bytes, `inbound` makes facts of the frames, `recording` reads back what once
crossed a socket. None of the three does any I/O on a network; that is the client's.
"""
