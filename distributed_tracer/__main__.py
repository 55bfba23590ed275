"""Command line for `python -m distributed_tracer`."""

import os
import sys

if sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]  # -m puts the current directory there, which may hold files that must not be imported

from .cli.main import main

sys.exit(main())
