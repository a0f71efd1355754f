"""Run the command line as ``python -m fcdsynth``."""

import sys

from fcdsynth.cli import main

if __name__ == "__main__":
    sys.exit(main())
