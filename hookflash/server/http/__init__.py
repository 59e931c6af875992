"""HTTP, in Kazoo's shape.

`app` puts the handlers of `channels`, `transfers`, `metaflows`, `sign_in` and `health` together;
`envelope` is how all of them answer.
"""
