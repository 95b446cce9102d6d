#!/bin/sh
# Sees to it that there is a Chromium for the browser tests, or says what is missing.
set -eu

if [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
    exit 0
fi
if [ -n "${CHROMIUM:-}" ]; then
    echo "CHROMIUM=$CHROMIUM is not a program that can be run; name the path of a Chromium" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "/usr/bin/chromium is missing: install Debian's package chromium as root, or name another one with CHROMIUM=path" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
