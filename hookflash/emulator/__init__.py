"""A FreeSWITCH to test against: the simulator behind an event socket.

`emulator` is where to begin; `server` puts it on a TCP port.
"""
