#!/usr/bin/env bash
# The demonstration: the flights pipeline over 336,776 real flights, first as one command, then on a daemon that is up.
# Called by `make demo` as tests/demo.sh PRODUCTS OUTPUT; PRODUCTS holds the built binaries and plugins.
set -euo pipefail

products=$(realpath "$1")
mkdir -p "$2"
output=$(realpath "$2")
pipeline=$(realpath "$(dirname "$0")/../plugins/flights/pipeline.toml")
config=$(realpath "$(dirname "$0")/../plugins/flights/demo.toml")
export DAGD_TRACE_DIRECTORY=$output

# Traces carry their run's name, so those of earlier demonstrations would pile up.
rm -f "$output"/trace_*.json

# Only the plugins of the demonstration, whatever else was built.
plugins=$output/.plugins
mkdir -p "$plugins"
for plugin in formats flights trace; do
    ln -f "$products/lib$plugin.so" "$plugins/" 2>/dev/null || cp "$products/lib$plugin.so" "$plugins/"
done

# Bold where somebody looks.
headline() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

headline "One command, no daemon: ctl run"
time "$products/ctl" run "$pipeline" --daemon-config "$config" --plugins "$plugins" --params "output_dir=$output"

headline "Metrics"
cat "$output/metrics.json"

headline "Files in $2"
(cd "$output" && ls -l -- *.json *.csv *.svg *.parquet)

headline "A daemon that is up: ctl submit, twice"
socket=$output/.dagd.sock
state=$output/.state
rm -rf "$state"
XDG_STATE_HOME=$state "$products/dagd" serve --socket "$socket" --config "$config" --plugins "$plugins" 2>"$output/.dagd.log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true' EXIT
until "$products/ctl" --socket "$socket" status >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || { cat "$output/.dagd.log" >&2; exit 1; }
    sleep 0.02
done
time "$products/ctl" --socket "$socket" submit "$pipeline" --params "output_dir=$output" --quiet
time "$products/ctl" --socket "$socket" submit "$pipeline" --params "output_dir=$output"
"$products/ctl" --socket "$socket" runs
kill "$daemon"
wait "$daemon"
trap - EXIT

headline "Look further"
echo "open $2/delay_chart.svg in a browser, and $2/trace_*.json in https://ui.perfetto.dev"
