#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh BUILD_DIR RUNS [NAME...]: runs each fuzz target (or those named) for RUNS executions, from
# seeds made afresh. With CORPUS set, what is found interesting is kept in that folder, by target.
# Says "NAME: N executions, no finding" for each; a finding is shown, its input kept, and fails.
set -u
if [ $# -lt 2 ]; then
        echo "usage: $0 BUILD_DIR RUNS [elf-view|elf-image|frames|patch|maps|build-text|build-objects|live-record|live-code|varlink]..." >&2
        exit 2
fi
folder=$(cd "$1" && pwd) || exit 1
folder=$folder/tests/fuzz
runs=$2
shift 2
[ $# -gt 0 ] || set -- elf-view elf-image frames patch maps build-text build-objects live-record live-code varlink
scratch=$(mktemp -d "${TMPDIR:-/tmp}/suture-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
"$folder/make-seeds" "$scratch" "$folder/libseed.so" "$folder/seed-fix.bin" || exit 1

failed=0
for name in "$@"; do
        log=$scratch/$name.log
        corpus=$scratch/corpus-$name
        [ -n "${CORPUS:-}" ] && corpus=$CORPUS/$name
        findings=$folder/findings-$name
        mkdir -p "$corpus" "$findings" "$scratch/$name" # some begin with nothing
        if "$folder/fuzz-$name" -runs="$runs" -max_len=65536 -timeout=20 -rss_limit_mb=2048 \
                -print_final_stats=1 -artifact_prefix="$findings/" "$corpus" "$scratch/$name" \
                > "$log" 2>&1; then
                count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
                # A target that ran nothing has shown nothing.
                if [ "${count:-0}" -ge "$runs" ]; then
                        echo "fuzz-$name: $count executions, no finding"
                        continue
                fi
        fi
        failed=1
        echo "fuzz-$name: FAILED, inputs in $findings"
        tail -n 40 "$log"
done
exit $failed
