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
# With libFuzzer in them the targets take other arguments.
if fuzz/fuzz-thin -help=1 2>/dev/null | grep -q 'Usage'; then exit $r; fi
printf '<superblock uuid="" time="0" transaction="1" data_block_size="128" nr_data_blocks="9"><device dev_id="1" mapped_blocks="1" transaction="0" creation_time="0" snap_time="0"><single_mapping origin_block="1" data_block="2" time="0"/></device></superblock>' >"$w/a.xml"
fuzz/fuzz-thin "$w/healthy.img" "$w/damaged.img" || r=1
fuzz/fuzz-cache "$w/cache-clean.img" "$w/cache-unclean.img" "$w/healthy.img" || r=1
fuzz/fuzz-era "$w/era.img" "$w/healthy.img" || r=1
fuzz/fuzz-clone "$w/clone.img" "$w/healthy.img" || r=1
fuzz/fuzz-xml "$w/a.xml" "$w/healthy.img" || r=1
exit $r
