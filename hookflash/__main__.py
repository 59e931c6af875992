"""`python -m hookflash`."""

import sys

from hookflash.cli import main

sys.exit(main())
