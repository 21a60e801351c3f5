"""``python -m cryoscape`` is ``cryoscape``."""

import sys

from cryoscape.cli.app import main

sys.exit(main())
