"""``python -m w2vjax COMMAND`` runs ``w2vjax COMMAND``."""

import sys

from w2vjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
