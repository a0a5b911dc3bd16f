#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# thin_dump: the text that others parse, what selects from it, and how it ends (cli contract, 1.5, 1.8, 1.9, 3.2).
# usage: thin-dump.sh TOOLSDIR
# shellcheck source=/dev/null
. "$(dirname -- "$0")/lib.sh"

dump=$tools/thin_dump poke=$tools/pdata_poke
restore() { fresh "$2" "${3:-4M}"; "$tools/thin_restore" -i "$1" -o "$2" || no "restore of $1"; }
ids() { sed -n 's/.*<device dev_id="\([0-9]*\)".*/\1/p' "$1" | tr '\n' ' '; }

sample healthy >good.img
sample damaged >bad.img
xz -dc "$here/../images/pools/thin-metasnap.img.xz" >snap.img

# ---- every byte of a small pool: sharing, runs, a device without mappings ----
{
	printf '<superblock uuid="" time="1" transaction="3" version="2" data_block_size="128" nr_data_blocks="2000">\n'
	printf '  <def name="s">\n'
	for i in {0..99}; do printf '    <single_mapping origin_block="%d" data_block="%d" time="0"/>\n' $((2 * i)) $((1900 - 2 * i)); done
	printf '  </def>\n'
	printf '  <device dev_id="1" mapped_blocks="100" transaction="0" creation_time="0" snap_time="1">\n    <ref name="s"/>\n  </device>\n'
	printf '  <device dev_id="7" mapped_blocks="100" transaction="1" creation_time="1" snap_time="1">\n    <ref name="s"/>\n  </device>\n'
	printf '  <device dev_id="12" mapped_blocks="6" transaction="2" creation_time="1" snap_time="1">\n'
	printf '    <range_mapping origin_begin="3" data_begin="40" length="2" time="1"/>\n'
	printf '    <single_mapping origin_block="5" data_block="42" time="0"/>\n'
	printf '    <single_mapping origin_block="7" data_block="43" time="0"/>\n'
	printf '    <range_mapping origin_begin="1099511627776" data_begin="60" length="2" time="0"/>\n  </device>\n'
	printf '  <device dev_id="16777215" mapped_blocks="0" transaction="2" creation_time="1" snap_time="1">\n  </device>\n'
	printf '</superblock>'
} >want
restore want p.img
is 0 "a pool" "$dump" p.img; silent err "a pool"
name=$(sed -n 's/.*<def name="\([0-9]*\)">/\1/p' out)	# the number of the leaf's block
sed -i "s/\"s\"/\"$name\"/" want; same out want "a pool"
is 0 "a pool" "$dump" -f xml p.img; same out want "a pool, -f xml"
holds "the first line says it all" [ "$(head -n 1 out)" = '<superblock uuid="" time="1" transaction="3" version="2" data_block_size="128" nr_data_blocks="2000">' ]

# one device alone has nothing to share; several have
is 0 "--dev-id" "$dump" --dev-id 7 p.img; lacks out "<def" "--dev-id"; lacks out "<ref" "--dev-id"
holds "--dev-id: $(ids out)" [ "$(ids out)" = "7 " ]; holds "--dev-id" [ "$(grep -c single_mapping out)" = 100 ]
is 0 "--dev-id unknown" "$dump" --dev-id 5 p.img; holds "--dev-id unknown" [ "$(wc -l <out)" = 1 ]; silent err "--dev-id unknown"
is 0 "two --dev-id" "$dump" --dev-id=12 --dev-id 1 p.img; holds "two --dev-id" [ "$(ids out)" = "1 12 " ]; lacks out "<def" "two --dev-id"
is 0 "two --dev-id" "$dump" p.img --dev-id 7 --dev-id 1; says out "<def" "two --dev-id"
is 0 "one --dev-id twice" "$dump" --dev-id 7 --dev-id 7 p.img; holds "one --dev-id twice" [ "$(ids out)" = "7 " ]; lacks out "<ref" "one --dev-id twice"
is 64 "an id that is none" "$dump" --dev-id -1 p.img
is 0 "--skip-mappings" "$dump" --skip-mappings p.img; printf %s "$(grep -v 'mapping\|def\|ref' want)" >less; same out less "--skip-mappings"
is 0 "--skip-mappings --dev-id" "$dump" --skip-mappings --dev-id 12 p.img; holds "--skip-mappings --dev-id" [ "$(ids out)" = "12 " ]; lacks out mapping= "--skip-mappings --dev-id"

# ---- for people ----
{
	printf 'begin superblock: "", 1, 3, 0, 2, 128, 2000\ndef: %d\n' "$name"
	for i in {0..99}; do printf '    (%d..%d) -> (%d..%d), 0\n' $((2 * i)) $((2 * i)) $((1900 - 2 * i)) $((1900 - 2 * i)); done
	for d in "1 0 0" "7 1 1"; do
		read -r id t ct <<<"$d"
		printf '\ndevice: %d\nmapped_blocks: 100\ntransaction: %d\ncreation time: %d\nsnap time: 1\n    ref: %d\n' "$id" "$t" "$ct" "$name"
	done
	printf '\ndevice: 12\nmapped_blocks: 6\ntransaction: 2\ncreation time: 1\nsnap time: 1\n    (3..4) -> (40..41), 1\n    (5..5) -> (42..42), 0\n    (7..7) -> (43..43), 0\n    (1099511627776..1099511627777) -> (60..61), 0\n'
	printf '\ndevice: 16777215\nmapped_blocks: 0\ntransaction: 2\ncreation time: 1\nsnap time: 1\n'
	printf '\nend superblock\n'
} >people
for o in "-f human_readable" "-fhuman_readable" "--format=human_readable" "--form human_readable"; do
	is 0 "$o" "$dump" $o p.img; same out people "$o"
done
for o in "-f custom" "-f" "-f xml -f xml" "-f XML"; do is 64 "$o" "$dump" p.img $o; done

# ---- other numbers in the first line; flags only when one is set ----
for o in "--transaction-id 2345|transaction=\"2345\"" "--data-block-size 8192|data_block_size=\"8192\"" "--nr-data-blocks 234500|nr_data_blocks=\"234500\""; do
	for r in "" --repair; do
		is 0 "$o $r" "$dump" p.img ${o%|*} $r; says out "${o#*|}" "$o $r"; silent err "$o $r"
		tail -n +2 out >rest; tail -n +2 want | cmp -s - rest && ok || no "$o $r: the rest differs"
	done
done
cp p.img f.img; "$poke" f.img 0 set flags=1
is 0 "flags" "$dump" f.img; says out 'transaction="3" flags="1" version="2"' flags

# ---- round trips ----
"$dump" good.img >a.xml; restore a.xml r.img 8M
is 0 "second round" "$dump" r.img; sed 's/\(name="\)[0-9]*/\1/' out >b; sed 's/\(name="\)[0-9]*/\1/' a.xml >a; same a b "second round"
cp out a.xml; restore a.xml r.img 8M; is 0 "third round" "$dump" r.img; same out a.xml "third round"
is 0 "--repair of healthy metadata" "$dump" --repair r.img; same out a.xml "--repair of healthy metadata"; silent err "--repair of healthy metadata"

# ---- the metadata snapshot ----
held=$("$poke" snap.img 0 show held_root | cut -d= -f2)
is 0 "-m" "$dump" -m snap.img; silent err "-m"; says out 'nr_data_blocks="0">' "-m"; cp out m.xml
# callers put the number behind a blank, or the operand first
for o in "-m$held" "-m $held" "--metadata-snap=$held" "--metadata-snap $held" "--metadata-snapshot" "-m -f xml" "--meta"; do
	is 0 "$o DEV" "$dump" $o snap.img; same out m.xml "$o DEV"
	is 0 "DEV $o" "$dump" snap.img $o; same out m.xml "DEV $o"
done
is 1 "another block" "$dump" -m1 snap.img; says err "metadata snapshot does not match that in superblock" "another block"; silent out "another block"
is 1 "another block" "$dump" snap.img -m 1; says err "metadata snapshot does not match that in superblock" "another block"
is 64 "two numbers" "$dump" snap.img -m1 1; is 64 "a number without -m" "$dump" snap.img 1; is 64 "junk" "$dump" -m1x snap.img; is 64 "not a number" "$dump" -m snap.img x
is 64 "-m and --repair" "$dump" -m --repair snap.img
is 1 "no snapshot" "$dump" -m good.img; says err "no current metadata snap" "no snapshot"; silent out "no snapshot"
is 0 "-m for people" "$dump" -m -f human_readable snap.img; holds "-m for people: $(head -n 1 out)" grep -qE '^begin superblock: "", [0-9]+, [0-9]+, 0, 2, 128, 0$' out
cp snap.img x.img; for f in device_details_root metadata_space_map_root.bitmap_root data_space_map_root.bitmap_root; do "$poke" x.img $f corrupt; done
is 0 "-m, live trees damaged" "$dump" -m x.img; same out m.xml "-m, live trees damaged"; silent err "-m, live trees damaged"
id=$(ids m.xml | cut -d' ' -f1)
is 0 "-m --dev-id" "$dump" -m --dev-id "$id" snap.img; lacks out "<def" "-m --dev-id"; lacks out "<ref" "-m --dev-id"

# ---- damage: what was written stays, without an end, and what to do is said ----
is 1 "damage" "$dump" bad.img; holds "damage: the first line" grep -q '^<superblock .*>$' out; lacks out "</superblock>" damage
says err "thin_check" damage; says err "--repair" damage
is 1 "damage, quiet" "$dump" -q bad.img; silent err "damage, quiet"
# a device whose root is the list of devices: entries, but no mappings
cp p.img u.img; at=$("$poke" u.img 0 show data_mapping_root | cut -d= -f2)
"$poke" u.img data_mapping_root set "values[2]=$at"
is 1 "the list of devices as mappings" "$dump" u.img; says err "block $at" "the list of devices as mappings"; lacks out "</superblock>" "the list of devices as mappings"
is 1 "the list of devices as mappings, alone" "$dump" --dev-id 12 u.img
is 0 "the others" "$dump" --dev-id 1 --dev-id 7 u.img
is 0 "the list of devices as mappings, repair" "$dump" --repair u.img
grep _mapping out | grep -vxFf want >invented; silent invented "mappings that are made up"
says out 'dev_id="12"' "the list of devices as mappings, repair"
is 0 "damage elsewhere" "$dump" --dev-id 1 bad.img; silent err "damage elsewhere"; says out "</superblock>" "damage elsewhere"
is 0 "damage not looked at" "$dump" --skip-mappings bad.img
is 0 "damage stepped over" "$dump" --repair bad.img; says err "thin device 2" "damage stepped over"; says out "</superblock>" "damage stepped over"
is 0 "damage stepped over, quiet" "$dump" -q --repair bad.img; silent err "damage stepped over, quiet"
is 64 "a generation without --repair" "$dump" --generation 5 good.img

# ---- a reader that goes away, with more to come than any pipe holds ----
{
	echo '<superblock uuid="" time="1" transaction="3" version="2" data_block_size="128" nr_data_blocks="20000">'
	echo '<device dev_id="1" mapped_blocks="20000" transaction="0" creation_time="0" snap_time="1">'
	awk 'BEGIN { for (i = 0; i < 20000; i++) printf "<single_mapping origin_block=\"%d\" data_block=\"%d\" time=\"1\"/>\n", 2 * i, 19999 - i }'
	echo '</device></superblock>'
} >long.xml
restore long.xml long.img; mkfifo fifo
for o in "-f xml" "-f human_readable"; do
	{ "$dump" $o long.img 2>err; echo $? >status; } | head -c 128 >/dev/null
	holds "$o to a pipe: $(cat status)" [ "$(cat status)" != 0 ]; silent err "$o to a pipe"
	head -c 128 fifo >/dev/null & "$dump" $o long.img -o fifo 2>err; r=$?; wait
	holds "$o to a fifo: $r" [ $r != 0 ]; silent err "$o to a fifo"
done
# lvm2 takes the first line and is gone
{ "$dump" long.img 2>err; } | head -n 1 >first; says first 'transaction="3"' "first line"; silent err "first line"
(ulimit -f 64; trap '' XFSZ; "$dump" -o part.xml long.img 2>err; [ $? = 1 ]); holds "a file that cannot grow" [ $? = 0 ]
says err "File too large" "a file that cannot grow"
finish
