#!/usr/bin/env bash
# A cluster on this machine to play with: a Postgres, three brokers, two gateways. It writes records,
# kills a leader meanwhile, and shows that nothing is lost. Then it runs until Ctrl-C, or ends at once
# with --once. Everything is in one directory, which goes with it.
#
#   docker/local-cluster.sh [--once] [HEADWATER_BINARY]
set -euo pipefail

once=false
if [ "${1:-}" = --once ]; then once=true; shift; fi
headwater=$(realpath "${1:-target/release/headwater}")
port=${PORT:-8180} # and the nine after it
directory=$(mktemp -d)
declare -A pids=()

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

postgres_tools=$(find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -1)
: "${postgres_tools:?no Postgres: apt-get install postgresql}"
as_postgres() { # Postgres refuses root
    if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi
}

clean_up() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    as_postgres "$postgres_tools/pg_ctl" -D "$directory/postgres" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

start() { # NAME ARGUMENTS...
    local name=$1
    shift
    "$headwater" serve --database "$database" --cluster-secret-file "$directory/secret" "$@" \
        >>"$directory/$name.log" 2>&1 &
    pids[$name]=$!
}
start_broker() {
    start "broker-$1" --roles broker --broker-id "$1" --data-dir "$directory/broker-$1" \
        --internal-listen "127.0.0.1:$((port + 2 + $1))"
}
ready() { # PORT
    for _ in $(seq 200); do
        curl -sf "http://127.0.0.1:$1/readyz" >/dev/null && return
        sleep 0.1
    done
    echo "nothing is ready on port $1; its log:" && tail -n 5 "$directory"/*.log && exit 1
}

say "Postgres, three brokers, two gateways in $directory"
chmod 755 "$directory"
mkdir "$directory/postgres"
[ "$(id -u)" != 0 ] || chown postgres "$directory/postgres"
as_postgres "$postgres_tools/initdb" -A trust -U headwater --no-sync -D "$directory/postgres" >/dev/null
as_postgres "$postgres_tools/pg_ctl" -D "$directory/postgres" -w -l "$directory/postgres/log" \
    -o "-p $port -k $directory/postgres -c listen_addresses=127.0.0.1" start >/dev/null
database=postgres://headwater@127.0.0.1:$port/postgres
(umask 077 && head -c 32 /dev/urandom | base64 >"$directory/secret")
credentials=$("$headwater" admin bootstrap --database "$database" --org acme --project acme-main --email ada@example.com)
for number in 1 2 3; do start_broker "$number"; done
for number in 1 2; do
    start "gateway-$number" --roles gateway --listen "127.0.0.1:$((port + number))" \
        --internal-listen "127.0.0.1:$((port + 6 + number))"
done
for offset in 1 2 3 4 5; do ready $((port + offset)); done

base=http://127.0.0.1:$((port + 1))/v1/projects/acme-main
other=http://127.0.0.1:$((port + 2))/v1/projects/acme-main
auth="Authorization: Bearer $(jq -r .api_key <<<"$credentials")"
for _ in $(seq 50); do
    curl -sf "$base/topics" -H "$auth" >/dev/null && break
    sleep 0.1
done
curl -sf -X PUT "$base/topics/orders" -H "$auth" \
    -d '{"partitions":3,"replication_factor":3}' >/dev/null
echo "topic orders: $(curl -s "$base/topics/orders/partitions" -H "$auth" |
    jq -c '[.partitions[] | "\(.partition) led by \(.leader), in sync \(.in_sync)"]')"

write() { # FROM TO
    for n in $(seq "$1" "$2"); do
        until curl -sf -m 30 "$base/topics/orders/records" -H "$auth" -H "Idempotency-Key: order-$n" \
            -d "{\"records\":[{\"key\":\"customer-$((n % 9))\",\"value\":{\"n\":$n}}]}" >/dev/null; do
            sleep 0.2
        done
    done
}

say "200 records; after 100 the leader of partition 0 is killed (kill -9)"
write 1 100
leader=$(curl -s "$base/topics/orders/partitions" -H "$auth" | jq '.partitions[0].leader')
kill -9 "${pids[broker-$leader]}"
wait "${pids[broker-$leader]}" 2>/dev/null || true
killed=$(date +%s%N)
write 101 101
write 102 104 # every partition has another leader, or kept its own
echo "broker $leader is gone; writes went on after $((($(date +%s%N) - killed) / 1000000)) ms"
write 105 200

say "Every record, read through the other gateway"
found=$(curl -s "$other/topics/orders/records?from=earliest&max_records=1000" -H "$auth" |
    jq '[.records[].value.n] | (sort == [range(1; 201)]) as $whole | {records: length, each_once: $whole}' -c)
echo "$found"
[ "$found" = '{"records":200,"each_once":true}' ]
start_broker "$leader"
for _ in $(seq 300); do
    whole=$(curl -s "$other/topics/orders/partitions" -H "$auth" | jq '[.partitions[]?.in_sync | length] == [3,3,3]')
    [ "$whole" = true ] && break
    sleep 0.1
done
[ "$whole" = true ]
echo "broker $leader is back: every copy is in sync again"

if $once; then exit; fi
say "It runs until Ctrl-C. To play with it:"
echo "export BASE=$base AUTH='$auth'"
echo "curl \"\$BASE/topics/orders/partitions\" -H \"\$AUTH\""
echo "psql $database -c 'SELECT * FROM brokers'    # logs are in $directory"
wait
