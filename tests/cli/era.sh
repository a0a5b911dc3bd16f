#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The era commands: metadata of a real kernel after a power cut, with a live writeset; lists known in advance; and
# after every single lost block: no changed block is ever left out.
set -u
tools=${1:-${tools:-../tools}}
tools=$(cd "$tools" && pwd)
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAIL $*"; }
is()
{
	local want=$1 what=$2 r
	shift 2
	"$@" >out 2>err </dev/null
	r=$?
	[ "$r" = "$want" ] && { ok; return; }
	no "$what: status $r, not $want: $* $(head -c 300 err)"
}
says() { if grep -qF -- "$2" "$1"; then ok; else no "$3: '$2' is not in $1: $(head -c 300 "$1")"; fi; }
silent() { if [ ! -s "$1" ]; then ok; else no "$2: $1 says: $(head -c 200 "$1")"; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$3: $1 and $2 differ"; fi; }
fresh() { rm -f "$1" && truncate -s 4M "$1"; }
spoil() { perl -e 'srand(5); print pack("C*", map { int rand 256 } 1 .. 4096)' | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none; }
# what a list lists, a number a line
numbers() { perl -ne 'print "$1\n" if /<block block="(\d+)"/; if (/<range begin="(\d+)" end="(\d+)"/) { print "$_\n" for $1 .. $2 - 1 }' "$1"; }

xz -dc "$here/../images/sample/era.img.xz" >k.img
is 0 "check" "$tools/era_check" k.img; silent out "check"; silent err "check"
is 0 "dump" "$tools/era_dump" k.img; silent err "dump"; cp out k.xml
says k.xml '<writeset era=' "the live writeset"
fresh g.img
is 0 "generate" "$tools/era_generate_metadata" -o g.img --format --nr-blocks 70000 --current-era 9 --nr-writesets 3
is 0 "check" "$tools/era_check" g.img; silent err "check"
is 0 "dump" "$tools/era_dump" g.img; cp out g.xml
for k in k g; do
	fresh o.img
	is 0 "restore $k" "$tools/era_restore" -i $k.xml -o o.img; silent out restore; silent err restore
	is 0 "check restored" "$tools/era_check" o.img; silent err "check restored"
	is 0 "dump restored" "$tools/era_dump" o.img; same out $k.xml "dump, restore, dump"
	fresh o.img
	is 0 "repair $k" "$tools/era_repair" -i $k.img -o o.img --report r.json; silent err "repair of sound metadata"
	is 0 "dump repaired" "$tools/era_dump" o.img; same out $k.xml "repair keeps all"
	says r.json '"era_array": {"lost": []}' "report"
	is 0 "logical" "$tools/era_dump" --logical $k.img; cp out logical.xml
	if grep -q '<writeset' logical.xml; then no "a logical dump has writesets"; else ok; fi
	for since in 0 1 2 5 8 9 10; do
		is 0 "since $since" "$tools/era_invalidate" --written-since $since $k.img; numbers out >list
		sed -n 's/.*<era block="\([0-9]*\)" era="\([0-9]*\)".*/\1 \2/p' logical.xml |
			awk -v s=$since '$2 >= s { print $1 }' >want
		same list want "$k: list since $since against the logical dump"
	done
done

# lists known in advance: writesets 3 {0,1}, 4 {4,5}, 5 {8,9}
{
	echo '<superblock uuid="" block_size="128" nr_blocks="16" current_era="5">'
	for e in 3 4 5; do
		echo "<writeset era=\"$e\" nr_bits=\"16\"><marked block_begin=\"$(((e - 3) * 4))\" len=\"2\"/></writeset>"
	done
	echo '<era_array>'
	b=0
	for e in 0 1 2 1 0 1 0 0 2 0 0 0 2 2 0 0; do echo "<era block=\"$b\" era=\"$e\"/>"; b=$((b + 1)); done
	echo '</era_array></superblock>'
} >s.xml
fresh s.img
is 0 "restore" "$tools/era_restore" -i s.xml -o s.img
list() { is 0 "since $1" "$tools/era_invalidate" --written-since "$1" s.img; grep -o '[0-9]*" end="[0-9]*' out | sed 's/" end="/../' | tr '\n' ' ' >l; echo "$2 " | sed 's/^ $//' | tr -d '\n' >want; same l want "since $1"; }
list 3 "0..2 4..6 8..10"; list 5 "8..10"; list 2 "0..3 4..6 8..10 12..14"; list 6 ""; list 0 "0..16"
printf '<blocks>\n</blocks>' >want; is 0 "none" "$tools/era_invalidate" --written-since 6 s.img; same out want "none: two tags"
is 64 "no era" "$tools/era_invalidate" s.img; says err "--written-since <ERA>" "no era"
is 1 "no snapshot" "$tools/era_invalidate" --written-since 0 --metadata-snapshot s.img

# marked ranges over words, and what a restorer refuses
bad()
{
	fresh o.img
	printf '%s' "$2" >bad.xml
	is 1 "$1" "$tools/era_restore" -i bad.xml -o o.img
	if [ -s err ]; then ok; else no "$1: nothing said"; fi
	if "$tools/era_check" -q o.img 2>/dev/null; then no "$1: the output looks valid"; else ok; fi
}
sb() { echo "<superblock uuid=\"\" block_size=\"${3-128}\" nr_blocks=\"300\" current_era=\"7\">$1<era_array>${2-}</era_array></superblock>"; }
sb '<writeset era="7" nr_bits="300"><marked block_begin="10" len="100"/><bit block="200" value="true"/></writeset>' >m.xml
fresh o.img
is 0 "marked" "$tools/era_restore" -i m.xml -o o.img
is 0 "list" "$tools/era_invalidate" --written-since 7 o.img
says out '<range begin="10" end="110"/>' "marked"; says out '<block block="200"/>' "marked"
bad "block size" "$(sb '' '' 100)"
bad "future writeset" "$(sb '<writeset era="8" nr_bits="3"></writeset>')"
bad "writeset twice" "$(sb '<writeset era="5" nr_bits="3"></writeset><writeset era="5" nr_bits="3"></writeset>')"
bad "bit past the end" "$(sb '<writeset era="5" nr_bits="3"><bit block="3" value="true"/></writeset>')"
bad "marked past the end" "$(sb '<writeset era="5" nr_bits="3"><marked block_begin="1" len="3"/></writeset>')"
bad "marked far past the end" "$(sb '<writeset era="5" nr_bits="3"><marked block_begin="4294967295" len="4294967295"/></writeset>')"
bad "future era" "$(sb '' '<era block="0" era="8"/>')"
bad "block past the end" "$(sb '' '<era block="300" era="1"/>')"
bad "block twice" "$(sb '' '<era block="1" era="1"/><era block="1" era="2"/>')"
head -c 8192 /dev/zero >small.img
is 1 "too small" "$tools/era_restore" -i g.xml -o small.img; says err "are needed" "too small"

# writesets, bits and blocks in any order say the same; each may stand once
perl -e 'undef $/; $_ = <>; ($sb, $rest) = /(.*?\n)(.*)/s; @w = $rest =~ /(  <writeset.*?<\/writeset>\n)/sg; ($a) = $rest =~ /<era_array>\n(.*)  <\/era_array>/s;
	sub turn { join "", reverse split /^/, $_[0] }
	for (@w) { my @l = split /^/; $_ = join "", $l[0], turn(join "", @l[1 .. $#l - 1]), $l[-1] }
	print $sb, "<era_array>\n", turn($a), "</era_array>\n", reverse(@w), "</superblock>\n"' g.xml >turned.xml
cmp -s g.xml turned.xml && no "turned.xml is as it was"
fresh o.img
is 0 "any order" "$tools/era_restore" -i turned.xml -o o.img
is 0 "dump" "$tools/era_dump" o.img; same out g.xml "any order"
is 0 "check" "$tools/era_check" o.img; silent err "any order"
bad "bit twice" "$(sb '<writeset era="5" nr_bits="9"><bit block="3" value="true"/><bit block="3" value="true"/></writeset>')"
bad "bit in a range" "$(sb '<writeset era="5" nr_bits="99"><marked block_begin="1" len="90"/><bit block="70" value="true"/></writeset>')"; says err "block 70 stands twice" "bit in a range"
bad "writeset twice, not in a row" "$(sb '<writeset era="5" nr_bits="3"/><writeset era="3" nr_bits="3"/><writeset era="5" nr_bits="3"/>')"; says err "two writesets of era 5" "writeset twice"
fresh o.img
echo '<superblock uuid="" block_size="8" nr_blocks="9000000" current_era="1"><era_array><era block="8999999" era="1"/><era block="0" era="1"/></era_array></superblock>' >far.xml
is 1 "too far out of order" "$tools/era_restore" -i far.xml -o o.img; says err "too late" "too far"

# an era past 32 bits: a dump would not say it; a list does not fail to; repair counts its blocks as written now
cp g.img d.img
is 0 "poke" "$tools/pdata_poke" d.img writeset_tree_root set "keys[2]=4294967305"
is 1 "dump" "$tools/era_dump" d.img; says err "writeset-future" "an era past 32 bits"
is 1 "list" "$tools/era_invalidate" --written-since 9 d.img; silent out "an era past 32 bits"
is 0 "dump" "$tools/era_dump" --repair d.img; same out g.xml "an era past 32 bits is taken for now"

# the root of a bitset as it was before: its block is found by nobody, so there is no list, and repair takes all for written
"$tools/pdata_poke" g.img writeset_tree_root show "values[2].root" >root; root=$(sed -n 's/.*=//p' root)
other=$("$tools/pdata_poke" g.img writeset_tree_root show "values[1].root" | sed -n 's/.*=//p')
cp g.img d.img
leads=$("$tools/pdata_poke" g.img "$other" show "values[0]" | sed -n 's/.*=//p')
is 0 "poke" "$tools/pdata_poke" d.img "$root" set "values[0]=$leads"
is 0 "check" "$tools/era_check" --ignore-non-fatal-errors d.img
is 1 "an older root: list" "$tools/era_invalidate" --written-since 9 d.img; silent out "an older root"
is 0 "a plain dump shows what is there" "$tools/era_dump" d.img
fresh o.img
is 0 "an older root: repair" "$tools/era_repair" -i d.img -o o.img; says err "lost-count" "an older root"
is 1 "strict" "$tools/era_repair" --strict --dry-run -i d.img
is 0 "an older root: list" "$tools/era_invalidate" --written-since 9 o.img; numbers out | sort >rep.n
"$tools/era_invalidate" --written-since 9 g.img >full; numbers full | sort >full.n
if [ -z "$(comm -23 full.n rep.n)" ]; then ok; else no "an older root: changed blocks are missed"; fi

# every block lost in turn: a list is whole or there is none; a repair leaves no changed block out
is 0 "list" "$tools/era_invalidate" --written-since 8 g.img; cp out full; numbers full | sort >full.n
n=90	# more than the metadata takes
for ((b = 1; b < n; b++)); do
	cp g.img d.img; spoil d.img $b; cp d.img before.img
	"$tools/era_invalidate" --written-since 8 d.img >out 2>err
	r=$?
	if [ $r = 0 ]; then cmp -s out full || no "block $b: another list"; elif [ -s out ]; then no "block $b: part of a list"; fi
	fresh o.img
	"$tools/era_repair" -i d.img -o o.img 2>err || no "block $b: repair fails: $(head -c 200 err)"
	"$tools/era_check" -q o.img || no "block $b: the repaired metadata is not sound"
	"$tools/era_invalidate" --written-since 8 o.img >out || no "block $b: no list of the repaired metadata"
	numbers out | sort >rep.n
	[ -z "$(comm -23 full.n rep.n)" ] || no "block $b: changed blocks are missed after repair"
	if "$tools/era_check" -q d.img; then "$tools/era_repair" --strict --dry-run -q -i d.img || no "block $b: strict"; fi
	cmp -s d.img before.img || no "block $b: the input of a repair has changed"
	ok
done

# one of several leaves of the writeset tree lost, the others kept: no block of any era at all is missed
rm -f t.img; truncate -s 8M t.img
is 0 "many writesets" "$tools/era_generate_metadata" -o t.img --format --nr-blocks 2000 --current-era 600 --nr-writesets 500
leaves=$(perl -e 'open F, "t.img"; binmode F; for ($b = 0; read(F, $d, 4096); $b++) {
	($c, $f, $n, $e, $m, $v) = unpack("VVQ<VVV", $d); print "$b " if $b && $n == $b && $f == 2 && $v == 12 }')
if [ "$(echo "$leaves" | wc -w)" -ge 3 ]; then ok; else no "leaves of the writeset tree: $leaves"; fi
for b in $leaves; do
	cp t.img d.img; spoil d.img "$b"; rm -f o.img; truncate -s 8M o.img
	"$tools/era_repair" -i d.img -o o.img 2>err || no "leaf $b: repair fails: $(head -c 200 err)"
	is 0 "leaf $b" "$tools/era_check" -q o.img
	"$tools/era_dump" --repair --logical d.img >out 2>err || no "leaf $b: logical dump"
	for since in 101 300 302 450 451 590 600; do
		"$tools/era_invalidate" --written-since $since t.img >full; numbers full | sort >full.n
		"$tools/era_invalidate" --written-since $since o.img >got; numbers got | sort >rep.n
		if [ -z "$(comm -23 full.n rep.n)" ]; then ok; else no "leaf $b: blocks changed since $since are missed"; fi
	done
done
cp g.img d.img; spoil d.img 0; fresh o.img; cp o.img zero.img
is 1 "no superblock" "$tools/era_repair" -i d.img -o o.img; same o.img zero.img "nothing written"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
