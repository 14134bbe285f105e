#!/usr/bin/env bash
# Runs every test on a fresh machine. Installs what the tests need and nothing the build does not.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null 2>&1; }
install=()
need openssl || install+=(openssl)
need ssh-keygen || install+=(openssh-client)
need python3 || install+=(python3 python3-venv)
need dash || install+=(dash)
# another clock for the daemon under test
compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || install+=(faketime)
need cc || install+=(build-essential)
# a Python may come without the module that makes virtual environments
need python3 && python3 -c "import venv, ensurepip" 2>/dev/null || install+=(python3-venv)
# a real PostgreSQL server for the tests, each run with a cluster of its own
need initdb || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || install+=(postgresql)
# reads the printed report back
need pdfdetach || install+=(poppler-utils)
# what people and their telephones use
need curl || install+=(curl)
need oathtool || install+=(oathtool)
# a real browser, and what drives it
need node && need npm || install+=(nodejs npm)
need chromium || need chromium-browser || need google-chrome || install+=(chromium)
if ((${#install[@]})); then
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${install[@]}"
fi

# a real SMTP server, and what holds the interface to its description, in a virtual environment of their own
venv=target/test-venv
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import aiosmtpd' 2>/dev/null || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "aiosmtpd==1.4.6"
"$venv/bin/python" -c 'import schemathesis' 2>/dev/null || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "schemathesis==4.32.5"
export BREACHCLOCK_TEST_PYTHON="$PWD/$venv/bin/python"

cargo test --locked --lib --bins --tests
cargo test --locked --doc
# the printed report is a crate of its own: its typesetter takes longer to build than all the rest
cargo test --locked -p breachclock-report-pdf
cargo test --locked --features pdf --test printed

# the pages in a real browser, against the program that was just built
(cd tests/browser && npm ci --silent --no-audit --no-fund && BREACHCLOCK_TEST_BINARY="$OLDPWD/target/debug/breachclock" npm test --silent)
# the manual names what is there
python3 scripts/check-docs.py --binary target/debug/breachclock
