#!/usr/bin/env bash
# From a checkout: install a bundle with the script that every bundle also carries.   install_offline.sh BUNDLE [VENV]
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../distributed_tracer/ops/bundle/install_offline.sh" "$@"
