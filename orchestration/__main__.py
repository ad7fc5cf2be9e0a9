"""`python -m orchestration`: the command `health`, also where its script is not installed."""

import sys

from orchestration.cli import main

sys.exit(main())
