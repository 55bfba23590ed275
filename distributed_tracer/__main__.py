"""`python -m distributed_tracer`: the command line."""

import os
import sys

if sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]  # where Python was started, because of -m: there may be data there, and no part of this program

from .cli.main import main

sys.exit(main())
