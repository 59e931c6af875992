"""The doors: HTTP and WebSocket, in a process of their own.

`doors` is what runs in that process, `keeper` starts it and starts it again if it dies, and
`listening` opens the sockets, which outlive the process.
"""
