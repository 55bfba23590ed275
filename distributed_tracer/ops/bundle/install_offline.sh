#!/usr/bin/env bash
# Install what `distributed-tracer bundle` collected, without internet:   bash BUNDLE/install_offline.sh BUNDLE [VENV]
# PYTHON=python3.11 names the interpreter. VENV (tracer-env here) is made, or completed if it is a virtual environment.
set -euo pipefail

bundle=$(realpath "${1:?say where the bundle is: install_offline.sh BUNDLE [VENV]}")
venv=${2:-tracer-env}
python=${PYTHON:-python3}

# Nothing is installed before Python, platform and every file are as the manifest says. Any Python 3 can read this.
requirement=$(
  "$python" - "$bundle" <<'END'
import hashlib, json, os, platform, sys

bundle = sys.argv[1]
try:
    with open(os.path.join(bundle, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
except (OSError, ValueError) as error:
    sys.exit("%s is no bundle: %s" % (bundle, error))
if manifest["format"] != 1:
    sys.exit("%s was made by another version than this script: use the one inside it" % bundle)
if not manifest["complete"]:
    sys.exit("%s is not finished: run the same `distributed-tracer bundle` again and copy the result" % bundle)

packages = manifest["packages"]
if packages:
    here = "%d.%d" % sys.version_info[:2]
    if here != packages["python"] or platform.python_implementation() != "CPython":
        sys.exit(
            "the bundle is for CPython %s, and %s is %s %s: set PYTHON to another interpreter, or bundle again with "
            "--python %s" % (packages["python"], sys.executable, platform.python_implementation(), here, here)
        )
    machine, kernel = platform.machine(), platform.system()
    libc, libc_version = platform.libc_ver()
    wanted = packages["platforms"]
    newest = tuple(int(number) for number in (libc_version or "0.0").split(".")[:2])
    older = [tag for tag in wanted if tag.startswith("manylinux_2_") and (2, int(tag.split("_")[2])) > newest]
    if kernel != "Linux" or not all(tag.endswith("_" + machine) for tag in wanted) or len(older) == len(wanted):
        sys.exit(
            "the bundle is for %s, and this machine is %s %s with %s %s: bundle again with another --platform"
            % (", ".join(wanted), kernel, machine, libc or "no glibc", libc_version)
        )

found = set("wheels/" + name for name in os.listdir(os.path.join(bundle, "wheels"))) if packages else set()
for name in sorted(found | set(manifest["files"])):
    if not name or name[0] == "/" or name[1:2] == ":" or "\\" in name or ".." in name.split("/"):
        sys.exit("the manifest names %r, which is not in the bundle" % name)
    if name not in manifest["files"]:
        sys.exit("%s is not in the manifest: take it away, pip might install it" % name)
    sha, num_bytes = hashlib.sha256(), 0
    try:
        with open(os.path.join(bundle, name), "rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                sha.update(chunk)
                num_bytes += len(chunk)
    except FileNotFoundError:
        sys.exit("%s is missing: copy the bundle again" % name)
    entry = manifest["files"][name]
    if sha.hexdigest() != entry["sha256"]:
        sys.exit("%s is damaged (%d bytes, %d expected): copy the bundle again" % (name, num_bytes, entry["bytes"]))
print("%d files are as they were sent" % len(manifest["files"]), file=sys.stderr)
print(packages["install"] if packages else "")
END
)

if [[ -n $requirement ]]; then
  [[ ! -e $venv || -f $venv/pyvenv.cfg ]] || {
    echo "$venv exists and is no virtual environment: name another one" >&2
    exit 1
  }
  "$python" -m venv "$venv"
  # --isolated: this machine's settings of pip may name other places and other ways to install
  "$venv/bin/python" -m pip --isolated --disable-pip-version-check install --quiet \
    --no-index --find-links "$bundle/wheels" "$requirement"
  program=$(realpath "$venv")/bin/distributed-tracer
  echo "installed $requirement in $venv"
else
  program=distributed-tracer
  echo "the bundle has no wheels: nothing was installed"
fi

prompts=$(find "$bundle" -maxdepth 1 -name 'prompts*' -not -name '*.part' | head -n 1)
model=$bundle/model transcoders=$bundle/transcoders
[[ -d $model ]] || model=MODEL
[[ -d $transcoders ]] || transcoders=TRANSCODERS
echo "Next:"
printf '  HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0 \\\n'
printf '  %q trace --model %q --transcoders %q --prompts %q --store graphs\n' \
  "$program" "$model" "$transcoders" "${prompts:-PROMPTS}"
