r"""What people dial during a call, and what it means: keys, patterns, an account's feature codes.

- `patterns`: the language of patterns such as ``2(\d+)``, and matching key by key;
  `pattern_language` reads a pattern, `pattern_program` compiles it, `overlaps` compares two.
- `digits`: one leg's keys, collected until they are a feature code or cannot become one.
- `metaflows`: the document in which an account writes its feature codes.
- `advice`: warns of feature codes that will annoy people.
- `features_conf`: converts Asterisk's ``features.conf``; `asterisk_file` reads its syntax.
"""
