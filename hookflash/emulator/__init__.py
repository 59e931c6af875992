"""A FreeSWITCH to test against: the simulator behind an event socket.

Start reading at `emulator`; `server` puts it on a TCP port. Below it, `event_publisher` turns the
simulator's facts into `events` of `legs`, and `event_bus` sends them; `session` is one connection
with its `subscription`; `api` executes commands, and `apps` runs a dialplan's applications.
"""
