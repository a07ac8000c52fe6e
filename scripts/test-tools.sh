#!/usr/bin/env bash
# Installs what the tests run beside Node: brokers, their command-line tools, a browser.
# Debian and Ubuntu, as root. Quick when everything is there. Starts no service: tests start their own servers.
set -euo pipefail
cd "$(dirname "$0")/.."

# program:package, each on both distributions
tools=(
  redis-server:redis-server
  redis-cli:redis-tools
  nats-server:nats-server
  mosquitto:mosquitto
  mosquitto_pub:mosquitto-clients
  rabbitmq-server:rabbitmq-server
  epmd:erlang-base
  amqp-publish:amqp-tools
  postgres:postgresql
  psql:postgresql-client
  nginx:nginx
  curl:curl
  openssl:openssl
  script:bsdutils
)

# Servers are not always in PATH: PostgreSQL's is in a folder of its version.
has() {
  local folder
  for folder in ${PATH//:/ } /usr/local/sbin /usr/sbin /sbin /usr/lib/postgresql/*/bin /usr/lib/rabbitmq/bin; do
    [ -x "$folder/$1" ] && return 0
  done
  return 1
}

# Ubuntu's chromium-browser is a script that asks for a snap, which does not run in most CI machines.
has_chromium() {
  local name file
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    file=$(command -v "$name") && ! grep -qs 'snap install' "$file" && return 0
  done
  compgen -G "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}/chromium-*" >/dev/null
}

is_ubuntu() { grep -qsE '^ID(_LIKE)?=.*ubuntu' /etc/os-release; }

packages=()
list_missing() {
  local tool
  packages=()
  for tool in "${tools[@]}"; do
    has "${tool%%:*}" || packages+=("${tool##*:}")
  done
}

list_missing
has_chromium && chromium=there || chromium=missing
[ "$chromium" = missing ] && ! is_ubuntu && packages+=(chromium)

if [ ${#packages[@]} -eq 0 ] && { [ "$chromium" = there ] || ! is_ubuntu; }; then
  echo 'test tools: all there'
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "test tools: missing ${packages[*]:-chromium}; this script knows Debian and Ubuntu only: install them with your system's own tool." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "test tools: missing ${packages[*]:-chromium}; run 'npm run test:tools' as root to install them (sudo npm run test:tools)." >&2
  exit 1
fi

# While packages are set up, invoke-rc.d asks this file whether it may start their services: 101 means no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
if [ ${#packages[@]} -gt 0 ]; then
  echo "test tools: installing ${packages[*]}"
  apt-get update -qq
  for package in "${packages[@]}"; do
    apt-cache show "$package" >/dev/null 2>&1 && continue
    echo "test tools: this release has no package '$package'; install it by hand (nats-server: https://nats.io/download)." >&2
    exit 1
  done
  apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

if [ "$chromium" = missing ] && is_ubuntu; then
  version=$(node -p 'require("./package-lock.json").packages["node_modules/playwright-core"].version')
  echo "test tools: Ubuntu has Chromium as a snap only; fetching Playwright's build (playwright-core $version)"
  npm exec --yes --package="playwright-core@$version" -- playwright-core install --with-deps chromium
fi

list_missing
if [ ${#packages[@]} -gt 0 ] || ! has_chromium; then
  echo "test tools: installed, but not found: ${packages[*]:-chromium}" >&2
  exit 1
fi
echo 'test tools: ready'
