#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# instrumented.sh [WRAPPER [ARGUMENT]...] - commands on the sample images, with several threads, each under the wrapper
# (valgrind) or as they were built (with a sanitizer). A report of either ends a command with status 99 or 66.
set -u
tools=$(cd "${tools:-tools}" && pwd)
here=$(cd "$(dirname -- "$0")" && pwd)
unit=$PWD/tests/unit/unit mutate=$PWD/tests/fuzz/mutate
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
export TSAN_OPTIONS=exitcode=99:halt_on_error=0
passed=0 failed=0
wrapper=("$@")

# run STATUS COMMAND...
run()
{
	local want=$1 r
	shift
	"${wrapper[@]}" "$@" >out 2>err
	r=$?
	if [ $r = "$want" ]; then passed=$((passed + 1)); return; fi
	failed=$((failed + 1))
	echo "FAIL $*: status $r, not $want"
	head -n 40 err
}

for i in "$here"/../images/sample/*.img.xz; do
	n=${i##*/}
	xz -dc "$i" >"${n%.xz}" || exit 1
done
truncate -s 8M out.img
dev=$tools/pdata_tools_dev
# valgrind does not see what the kernel reads for io_uring
engines="sync async"
[[ "$*" == *valgrind* ]] && engines=sync
for e in $engines; do
	run 0 "$tools/thin_check" --io-engine "$e" --threads 4 healthy.img
	run 1 "$tools/thin_check" --io-engine "$e" --threads 4 damaged.img
	run 0 "$tools/thin_dump" --io-engine "$e" --threads 4 -o thin.xml healthy.img
	run 0 "$tools/thin_dump" --io-engine "$e" --threads 4 --repair damaged.img
	run 0 "$tools/thin_repair" --io-engine "$e" --threads 4 -i damaged.img -o out.img
	run 0 "$tools/thin_restore" --io-engine "$e" -i thin.xml -o out.img
done
gzip -c thin.xml >thin.xml.gz
run 0 "$tools/thin_restore" -i thin.xml.gz -o out.img
run 1 "$tools/thin_restore" -i err -o out.img
cp healthy.img a.img
"$dev" pdata_poke a.img 'metadata_space_map_root.bitmap_root/index[0].blocknr' set 'entries[300]=1' || exit 1
cp a.img b.img
run 0 "$tools/thin_check" --threads 4 --auto-repair a.img
run 0 "$tools/thin_repair" --threads 4 --in-place b.img
cp healthy.img lost.img
"$dev" pdata_poke lost.img 0 zero
run 0 "$tools/thin_repair" --threads 4 --data-block-size 128 --nr-data-blocks 4096 -i lost.img -o out.img
for t in cache-clean era clone; do
	run 0 "$tools/${t%-*}_check" --threads 4 $t.img
	run 0 "$tools/${t%-*}_dump" --threads 4 -o $t.xml $t.img
	run 0 "$tools/${t%-*}_repair" --threads 4 -i $t.img -o out.img
	run 0 "$tools/${t%-*}_restore" -i $t.xml -o out.img
done
run 0 "$tools/era_invalidate" --written-since 1 era.img
# a cancelled scan, a failing read, a failing write
run 1 "$dev" thin_dump --io-engine bad-block-20:sync --threads 4 damaged.img
run 1 "$dev" thin_restore --io-engine fault-write-2:sync -i thin.xml -o out.img
[ $# -gt 0 ] || run 0 "$mutate" 1 60 healthy.img cache-clean.img thin:{shared,devices} cache:v1 era:small clone:small
[ $# -gt 0 ] || for s in stream thin_check xml_reader build fault_power; do run 0 "$unit" $s; done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
