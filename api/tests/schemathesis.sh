#!/usr/bin/env bash
# Runs schemathesis against `headwater dev`: generated requests, valid and not, must get answers
# that the OpenAPI documents describe, and never a fault of the server.
#
# MAX_EXAMPLES bounds the requests an operation; the seed is fixed, so a failure can be repeated.
set -euo pipefail
cd "$(dirname "$0")/../.."

headwater=${HEADWATER:-target/debug/headwater}
venv=target/schemathesis
schemathesis=4.32.5
validator=0.9.0
work=$(mktemp -d)
server=

clean_up() {
    status=$?
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    if [[ $status -ne 0 && -s $work/server.log ]]; then
        echo "--- the server's last words ---"
        tail -n 20 "$work/server.log"
    fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT

if [[ ! -x $venv/bin/schemathesis || $(cat "$venv/version" 2>/dev/null) != "$schemathesis $validator" ]]; then
    echo "schemathesis: installing $schemathesis under $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        "schemathesis==$schemathesis" "openapi-spec-validator==$validator"
    echo "$schemathesis $validator" >"$venv/version"
fi

echo "schemathesis: the documents are valid OpenAPI"
"$venv/bin/openapi-spec-validator" openapi/streaming.json openapi/management.json

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$headwater" dev --data-dir "$work/data" --listen "127.0.0.1:$port" >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 600); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz" && break
    kill -0 "$server" || { echo "the server does not start"; exit 1; }
    sleep 0.1
done
base=$(jq -r .base_url "$work/data/credentials.json")
key=$(jq -r .api_key "$work/data/credentials.json")

for topic in schemathesis schemathesis-2; do
    curl --silent --fail --output /dev/null -X PUT -H "authorization: Bearer $key" \
        -d '{"partitions":3}' "$base/topics/$topic"
    curl --silent --fail --output /dev/null -H "authorization: Bearer $key" \
        -d '{"records":[{"key":"a","value":{"n":1}},{"key":"b","value":null},{"value_base64":"/w=="}]}' \
        "$base/topics/$topic/records"
done

for path in groups/schemathesis groups/schemathesis/members/schemathesis; do
    body='{"topics":["schemathesis","schemathesis-2"]}'
    [[ $path == */members/* ]] && body='{"lease_ms":300000}'
    curl --silent --fail --output /dev/null -X PUT -H "authorization: Bearer $key" -d "$body" "$base/$path"
done

curl --silent --fail "http://127.0.0.1:$port/openapi/streaming.json" >"$work/streaming.json"
# One worker: Python's parser is not safe from two threads in the versions that Debian has.
# Tails never end, so a request that starts one has no whole answer to check; the service tests
# read them. Everything else is here.
HEADWATER_KEY=$key "$venv/bin/schemathesis" --config-file api/tests/schemathesis.toml run "$work/streaming.json" \
    --url "$base" \
    --phases examples,coverage,fuzzing,stateful --max-examples "${MAX_EXAMPLES:-100}" \
    --seed "${SEED:-20010101}" --workers 1 --exclude-path-regex '/tail(\.ndjson)?$' \
    --no-color

# The management API, as the owner of an organization beside the one that the calls above need. What
# would take the ground from under the run is left out: the end of the session and of the tenant.
root=http://127.0.0.1:$port
curl --silent --fail "$root/openapi/management.json" >"$work/management.json"
jq '{email, password}' "$work/data/credentials.json" >"$work/sign-in.json"
token=$(curl --silent --fail --data-binary @"$work/sign-in.json" "$root/v1/sessions" | jq -r .access_token)
curl --silent --fail --output /dev/null -H "authorization: Bearer $token" \
    -d '{"id":"schemathesis"}' "$root/v1/organizations"
curl --silent --fail --output /dev/null -H "authorization: Bearer $token" \
    -d '{"id":"schemathesis-1"}' "$root/v1/organizations/schemathesis/projects"
HEADWATER_KEY=$token "$venv/bin/schemathesis" --config-file api/tests/schemathesis.toml run "$work/management.json" \
    --url "$root/v1" \
    --phases examples,coverage,fuzzing --max-examples "${MAX_EXAMPLES:-25}" \
    --seed "${SEED:-20010101}" --workers 1 --no-color \
    --exclude-operation-id endSession --exclude-operation-id deleteOrganization \
    --exclude-operation-id deleteProject --exclude-operation-id removeMember \
    --exclude-operation-id getJwks

kill -0 "$server" || { echo "the server died"; exit 1; }
curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"
kill -TERM "$server"
wait "$server" || { echo "the server did not stop cleanly: exit $?"; exit 1; }
server=
echo "schemathesis: done"
