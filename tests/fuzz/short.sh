#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same mutated images each time, then a replay through the fuzz targets.
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
for i in healthy damaged cache-clean cache-unclean era clone; do
	xz -dc "$here/../images/sample/$i.img.xz" >"$w/$i.img" || exit 1
done
r=0
fuzz/mutate 1 700 "$w/healthy.img" "$w/damaged.img" thin:{deep,shared,snapped,devices,wide} || r=1
fuzz/mutate 1 400 "$w/cache-clean.img" "$w/cache-unclean.img" cache:{wide,v1,v2} || r=1
fuzz/mutate 1 200 "$w/era.img" era:{small,wide,snapped} || r=1
fuzz/mutate 1 300 "$w/clone.img" clone:{wide,small} || r=1
# With libFuzzer in it the program takes other arguments.
if fuzz/targets 2>&1 | grep -q 'targets are: [^ ]* .*' && ! fuzz/targets -help=1 2>&1 | grep -q 'libFuzzer'; then
	xz -dc "$here/corpus.tar.xz" | tar -x -C "$w" || r=1
	for t in thin cache era clone; do
		cp "$w"/$t.img "$w"/$t-*.img "$w/corpus/$t-check/" 2>/dev/null
	done
	for d in "$w"/corpus/*; do
		fuzz/targets "${d##*/}" "$d"/* >"$w/said" || { r=1; echo "FAIL ${d##*/}"; }
		tail -n 1 "$w/said"
	done
fi
exit $r
