#!/usr/bin/env bash
# Installs the programs the tests run beside the daemon: prometheus, promtool, prometheus-alertmanager, amtool, redis-server
# and PostgreSQL (none of which is started).
set -euo pipefail

packages=()
command -v prometheus >/dev/null && command -v promtool >/dev/null || packages+=(prometheus)
{ command -v prometheus-alertmanager >/dev/null || command -v alertmanager >/dev/null; } \
    && command -v amtool >/dev/null || packages+=(prometheus-alertmanager)
command -v redis-server >/dev/null || packages+=(redis-server)
{ command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; } || packages+=(postgresql)
[ ${#packages[@]} -eq 0 ] && exit 0

by_hand="install prometheus, promtool, alertmanager, amtool, redis-server and postgresql by hand and put them on PATH"
if ! command -v apt-get >/dev/null; then
    echo "expected ${packages[*]} (the tests run the real programs), found no apt-get to install them; $by_hand" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "expected to be root or to have sudo to install ${packages[*]} through apt-get; $by_hand" >&2
        exit 1
    fi
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}"
