#!/usr/bin/env bash
# Installs what the browser tests need: npm's packages here, and Chromium from Debian's packages where we may. It says
# what to install where we may not.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v npm >/dev/null; then
	echo "the browser tests need Node.js with npm" >&2
	exit 1
fi
if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ] && [ ! -x /usr/bin/chromium-browser ] && [ ! -x /usr/bin/google-chrome ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
	else
		echo "the browser tests need Chromium: apt-get install chromium, or name one in CHROMIUM" >&2
		exit 1
	fi
fi
npm ci --no-audit --no-fund
