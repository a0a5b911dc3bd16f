#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same few thousand mutated pools each time.
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
xz -dc "$here/../images/sample/healthy.img.xz" >"$w/healthy.img" || exit 1
xz -dc "$here/../images/sample/damaged.img.xz" >"$w/damaged.img" || exit 1
fuzz/thin-mutate 1 1500 "$w/healthy.img" "$w/damaged.img"
r=$?
# With libFuzzer in them the targets take other arguments.
if fuzz/fuzz-thin -help=1 2>/dev/null | grep -q 'Usage'; then exit $r; fi
for i in cache-clean cache-unclean; do
	xz -dc "$here/../images/sample/$i.img.xz" >"$w/$i.img" || exit 1
done
printf '<superblock uuid="" time="0" transaction="1" data_block_size="128" nr_data_blocks="9"><device dev_id="1" mapped_blocks="1" transaction="0" creation_time="0" snap_time="0"><single_mapping origin_block="1" data_block="2" time="0"/></device></superblock>' >"$w/a.xml"
fuzz/fuzz-thin "$w/healthy.img" "$w/damaged.img" || r=1
fuzz/fuzz-cache "$w/cache-clean.img" "$w/cache-unclean.img" "$w/healthy.img" || r=1
fuzz/fuzz-xml "$w/a.xml" "$w/healthy.img" || r=1
exit $r
