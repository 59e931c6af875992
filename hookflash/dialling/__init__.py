r"""What people dial during a call, and what it means: keys, patterns, an account's feature codes.

- `patterns`: the language of patterns such as ``2(\d+)``, and programs that match key by key.
- `digits`: one leg's keys, collected until they are a feature code or cannot become one.
- `metaflows`: the document in which an account writes its feature codes, and advice about it.
- `features_conf`: converts Asterisk's ``features.conf``; `asterisk_file` reads its syntax.
"""
