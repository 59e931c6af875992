"""Asterisk as a backend: by its REST interface (ARI), its manager interface (AMI) and a dialplan.

`client` is the backend: it keeps a `connection`, which is one of `ari` and one of `manager`.
`hearing` reads what the switch reports, `looking` asks what lives, `ordering` carries commands out
(in `steps`), and `memory` is what they know of the legs. What they say to the switch is made by
`procedures`, of `primitives`.
"""
