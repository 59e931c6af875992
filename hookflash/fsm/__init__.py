"""The pure core: given an event, it gives back commands. It knows no switch, socket or clock."""
