#!/usr/bin/env bash
# Sees to it that the servers that the tests start are installed. None of them is started as a service.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

has_postgresql() {
    command -v postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres'
}

missing=()
for program in beanstalkd clickhouse-server curl nats-server prometheus rabbitmq-server redis-sentinel redis-server; do
    command -v "$program" > /dev/null || missing+=("$program")
done
command -v etcd > /dev/null || missing+=(etcd-server)
command -v mariadbd > /dev/null || missing+=(mariadb-server)
command -v redis-cli > /dev/null || missing+=(redis-tools)
command -v pgrep > /dev/null || missing+=(procps)
python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
command -v mvn > /dev/null || missing+=(maven)
has_postgresql > /dev/null || missing+=(postgresql)
command -v carbon-cache > /dev/null || missing+=(graphite-carbon)
[[ -e /usr/lib/python3/dist-packages/graphite/settings.py ]] || missing+=(graphite-web)
if ((${#missing[@]} == 0)); then exit 0; fi

command="apt-get install --no-install-recommends ${missing[*]}"
root=()
if ((EUID != 0)); then root=(sudo -n); fi
if ! command -v apt-get > /dev/null || ! "${root[@]}" true 2> /dev/null; then
    printf 'The tests need programs that are not installed: %s\nOn Debian or Ubuntu: sudo %s\n' \
        "${missing[*]}" "$command" >&2
    exit 1
fi

# Whether a service may be started is asked of this program; 101 says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" > /dev/null
    "${root[@]}" chmod +x "$policy"
fi
enabled() {
    if [[ -d /run/systemd/system ]]; then systemctl list-unit-files --state=enabled --no-legend | awk '{print $1}'; fi
}
running_epmd() {
    pgrep -x epmd || true
}
added() { # the lines of the second text that the first lacks
    comm -13 <(sort <<< "$1") <(sort <<< "$2") | sed '/^$/d'
}

enabled_before=$(enabled) epmd_before=$(running_epmd)
echo "Installing ${missing[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -qq --yes --no-install-recommends "${missing[@]}"
# What came with the packages neither starts with the machine nor runs now.
added "$enabled_before" "$(enabled)" | xargs -r "${root[@]}" systemctl disable --quiet --now
added "$epmd_before" "$(running_epmd)" | xargs -r "${root[@]}" kill
