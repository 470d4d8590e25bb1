#!/usr/bin/env bash
# Holds the client of each language against a service of its own, which is killed in the middle, and
# prints a line a language. A language without its toolchain is a failure.
#
#     openapi/conformance/run.sh [typescript|python|go|java]...
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
headwater=$(realpath "${HEADWATER:-target/debug/headwater}")
sdks=$root/target/sdks
here=$root/openapi/conformance
export PATH=$PATH:/usr/local/go/bin:$root/target/tools/sdk/go/bin

prepare_typescript() {
    copy typescript
    mkdir -p node_modules/@headwater
    ln -s "$sdks/typescript" node_modules/@headwater/client
    ln -s "$root/target/tools/sdk/node/node_modules/@types" node_modules/@types
    "$root/target/tools/sdk/node/node_modules/.bin/tsc"
    program=(node conformance.js)
}

prepare_python() {
    copy python
    export PYTHONPATH=$sdks/python/src
    "$root/target/tools/sdk/python/bin/mypy" --no-error-summary --config-file "$sdks/python/pyproject.toml" conformance.py
    program=("$root/target/tools/sdk/python/bin/python" conformance.py)
}

prepare_go() {
    command -v go >/dev/null || openapi/tools/install go
    needs go
    copy go
    go build -o conformance .
    program=(./conformance)
}

prepare_java() {
    needs javac
    needs mvn
    copy java
    mvn --quiet --batch-mode -Dmaven.repo.local="$root/target/tools/sdk/maven" --file "$sdks/java/pom.xml" \
        compile org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath \
        -Dmdep.outputFile="$work/classpath" >maven.log 2>&1 || { cat maven.log && exit 1; }
    classpath=$(<"$work/classpath"):$sdks/java/target/classes:$work
    javac -cp "$classpath" -d "$work" Conformance.java
    program=(java -cp "$classpath" Conformance)
}

needs() {
    command -v "$1" >/dev/null || { echo "conformance: Missing: $1, for $language"; exit 1; }
}

# Works in a copy, so that no build leaves anything in the tree.
copy() {
    work=$root/target/sdks/conformance/$1
    rm -rf "$work"
    mkdir -p "$(dirname "$work")"
    cp -r "$here/$1" "$work"
    cd "$work"
}

start() {
    "$headwater" dev --data-dir "$data/service" --listen "127.0.0.1:$port" >>"$data/server.log" 2>&1 &
    server=$!
    until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; do
        kill -0 "$server" || { echo "the service does not start"; exit 1; }
        sleep 0.05
    done
}

stop() {
    [[ -z ${server:-} ]] || { kill -9 "$server" && wait "$server" || true; } 2>/dev/null
    server=
}

# Runs the program; kills the service and starts it again when the program says so.
converse() {
    local said
    coproc talk { timeout 120 "${program[@]}" 2>&1; }
    # The names are gone when the program ends.
    # shellcheck disable=SC2154 # coproc sets it
    local answers=${talk[0]} questions=${talk[1]} pid=$talk_PID
    exec {answers}<&"$answers" {questions}>&"$questions"
    while IFS= read -r said; do
        if [[ $said == "kill the broker" ]]; then
            stop
            start
            echo restarted >&"$questions"
        elif [[ $said == "ok "* ]]; then
            passed+=("${said#ok }")
        else
            echo "$language: $said"
        fi
    done <&"$answers"
    wait "$pid"
}

clean_up() {
    status=$?
    stop
    if [[ $status -ne 0 && -s $data/server.log ]]; then
        echo "--- the service's last words ---"
        tail -n 20 "$data/server.log"
    fi
    rm -rf "$data"
    exit "$status"
}

hold() {
    language=$1
    data=$(mktemp -d)
    trap clean_up EXIT
    "prepare_$language"
    cd "$work"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    start
    eval "$(jq -r '@sh "HEADWATER_URL=\(.base_url) HEADWATER_KEY=\(.api_key) SIGN_IN_EMAIL=\(.email) SIGN_IN_PASSWORD=\(.password)"' "$data/service/credentials.json")"
    export HEADWATER_URL HEADWATER_KEY SIGN_IN_EMAIL SIGN_IN_PASSWORD
    passed=()
    SECONDS=0
    converse
    echo "conformance: $language: ${passed[*]} (${SECONDS} s)"
}

(($# > 0)) || set -- typescript python go java
for language in "$@"; do
    (hold "$language")
done
