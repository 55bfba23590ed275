"""`python -m distributed_tracer`: the command line."""

import sys

from .cli import main

sys.exit(main())
