"""The Asterisk backend, on its REST interface (ARI), its manager interface (AMI) and a dialplan.

`client` is the backend: it keeps a `connection`, which consists of one of `ari` and one of
`manager`. `hearing` reads events, `looking` asks for the living legs, `ordering` executes commands
(in `steps`), and `memory` holds what they know about the legs. `procedures` translates commands
into `primitives`.
"""
