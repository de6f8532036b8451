"""`python -m pipeline` does what the command `stylebeam` does."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
