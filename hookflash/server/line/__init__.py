"""The line between the engine's process and the doors' process.

Strangers talk to the doors (HTTP and WebSocket), which run in a process of their own, so that
whatever they send costs the engine nothing. `messages` says what goes over the line, `stream`
carries it, `desk_end` is the engine's end, and `doors_end` the doors'.
"""
