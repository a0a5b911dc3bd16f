#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# thin_restore: what it accepts and refuses, and what is left of the output (cli contract, 1.7, 3.3).
# usage: restore.sh TOOLSDIR
# shellcheck source=/dev/null
. "$(dirname -- "$0")/lib.sh"
shopt -s lastpipe	# what stands behind a pipe counts in this shell

fresh() { rm -f out.img && truncate -s "${1:-4M}" out.img; }
magic() { od -An -tx1 -j32 -N4 out.img | tr -d ' '; }
zero() { cmp -s -n 4096 out.img /dev/zero; }
# Block 0 says what it should be, and no reader takes it.
invalid() { [ "$(magic)" = ba529c01 ] && ! "$tools/thin_check" -q out.img; }

sb='<superblock uuid="" time="1" transaction="3" version="2" data_block_size="128" nr_data_blocks="2000">'
dev='<device dev_id="1" mapped_blocks="0" transaction="0" creation_time="0" snap_time="1">'
one='<single_mapping origin_block="5" data_block="7" time="1"/>'

# accept NAME [XML-ON-STDIN]: restored, silent, clean
accept()
{
	cat >in.xml
	fresh
	"$tools/thin_restore" -i in.xml -o out.img >out 2>err || { no "$1: $(cat err)"; return; }
	[ ! -s out ] && [ ! -s err ] || { no "$1: is not silent: $(cat out err)"; return; }
	"$tools/thin_dump" out.img >dump 2>err || { no "$1: dump: $(cat err)"; return; }
	ok
}
clean() { accept "$1"; if "$tools/thin_check" -q out.img; then ok; else no "$1: not clean"; fi; }
shows() { if grep -qF -- "$1" dump; then ok; else no "'$1' is not in $(cat dump)"; fi; }

# refuse NAME MESSAGE early|late: status 1, the message, block 0 untouched (early) or invalid
refuse()
{
	cat >in.xml
	fresh
	"$tools/thin_restore" -i in.xml -o out.img >out 2>err
	[ $? = 1 ] || { no "$1: accepted"; return; }
	grep -qF -- "$2" err || { no "$1: '$2' is not in: $(cat err)"; return; }
	if [ "$3" = early ]; then
		zero || { no "$1: the output was touched"; return; }
	else
		invalid || { no "$1: block 0 is $(magic)"; return; }
	fi
	ok
}

echo "$sb</superblock>" | clean "empty pool"
echo "<?xml version=\"1.0\"?><!-- c --><!DOCTYPE superblock>$sb<!-- c --></superblock>
<!-- end -->" | clean "declaration, DOCTYPE, comments"
echo "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE superblock SYSTEM 'thin.dtd'>$sb</superblock>" | clean "a DTD elsewhere"
echo "$sb<device dev_id='1' mapped_blocks='0' transaction='0' creation_time='0' snap_time='1'/></superblock>" | clean "self-closing device"
shows '<device dev_id="1" mapped_blocks="0"'
echo "$sb<device dev_id=\"1\" mapped_blocks=\"1\" transaction=\"0\" creation_time=\"0\" snap_time=\"1\">
<single_mapping time=\"1\"	data_block='7' origin_block = \"5\"></single_mapping></device></superblock>" | clean "order, quotes, pairs"
shows '<single_mapping origin_block="5" data_block="7" time="1"/>'
echo "<superblock time=\"1\" flags=\"1\" metadata_snap=\"9\" uuid=\"x&amp;&#65;\" transaction=\"3\" data_block_size=\"128\" nr_data_blocks=\"2000\"></superblock>" | clean "no version; flags, metadata_snap, uuid"
if grep -q flags dump; then no "flags came back"; else ok; fi
printf '%s\r\n%s\r\n' "$sb" "</superblock>" | clean "ends of lines with CR"
echo "$sb${dev/\"1\"/\"9\"}</device>${dev/\"1\"/\"2\"}</device></superblock>" | clean "devices in any order"
shows 'dev_id="2"'
echo "$sb${dev/mapped_blocks=\"0\"/mapped_blocks=\"2\"}$one<single_mapping origin_block=\"6\" data_block=\"7\" time=\"1\"/></device></superblock>" | clean "a data block twice"
echo "$sb$dev$one</device></superblock>" | accept "a wrong mapped_blocks"
if "$tools/thin_check" -q out.img; then no "a wrong mapped_blocks passes the check"; else ok; fi
echo "$sb<def name=\"\"></def>${dev}<ref name=\"\"/></device></superblock>" | clean "an empty def with an empty name"
shows '<device'

echo 'hello' | refuse "junk" "line 1, column 1" early
: | refuse "an empty file" "line 1" early
echo '<cache/>' | refuse "another root" "there is no element 'cache' here" early
echo "$one" | refuse "a mapping as root" "cannot stand here" early
echo '<superblock time="1"/>' | refuse "attributes missing" "lacks its attribute 'uuid'" early
echo "${sb/\"128\"/\"100\"}</superblock>" | refuse "block size" "data block size 100" early
echo "${sb/\"128\"/\"2097280\"}</superblock>" | refuse "block size, large" "data block size" early
echo "${sb/time=\"1\"/time=\"16777216\"}</superblock>" | refuse "time of 25 bits" "beyond 24 bits" early
echo "${sb/\"3\"/\"18446744073709551616\"}</superblock>" | refuse "overflow" "is too large" early
echo "${sb/\"3\"/\"+3\"}</superblock>" | refuse "a sign" "is not a number" early
echo "${sb/\"3\"/\"\"}</superblock>" | refuse "no number" "is not a number" early
echo "${sb/\"3\"/\"3x\"}</superblock>" | refuse "junk in a number" "is not a number" early
echo "${sb/uuid/uuid=\"\" uuid}</superblock>" | refuse "an attribute twice" "line 1" early
echo "${sb/uuid/colour=\"\" uuid}</superblock>" | refuse "unknown attribute" "has no attribute 'colour'" early
echo "${sb/uuid=\"\"/uuid=\"$(head -c 70000 /dev/zero | tr '\0' x)\"}</superblock>" | refuse "a long attribute" "longer than 65536" early
echo "<!DOCTYPE superblock [<!ENTITY e '7'>]>$sb</superblock>" | refuse "an entity" "entities" early
echo "<!DOCTYPE superblock SYSTEM 'x'>${sb/\"3\"/\"3\&e;\"}</superblock>" | refuse "an entity from elsewhere" "entities" early

echo "$sb
  <colour/></superblock>" | refuse "unknown element" "line 2, column 3: there is no element 'colour'" late
echo "$sb${dev}<def name=\"a\"/></device></superblock>" | refuse "def in a device" "<def> cannot stand here" late
echo "$sb<def/></superblock>" | refuse "a def without a name" "lacks its attribute 'name'" late
echo "$sb<def name=\"$(head -c 300 /dev/zero | tr '\0' x)\"/></superblock>" | refuse "a long name" "longer than 255" late
echo "$sb<def name=\"a\"/><def name=\"a\"/></superblock>" | refuse "a name twice" "second def" late
echo "$sb$dev<ref name=\"a\"/></device></superblock>" | refuse "ref to nothing" "no def before this" late
echo "$sb$dev</device>$dev</device></superblock>" | refuse "an id twice" "second device has id 1" late
echo "$sb${dev/\"1\"/\"16777216\"}</device></superblock>" | refuse "an id of 25 bits" "beyond 24 bits" late
echo "$sb$dev
$one$one</device></superblock>" | refuse "the same origin twice" "line 2, column 59: origin block 5 does not ascend" late
echo "$sb$dev<range_mapping origin_begin=\"0\" data_begin=\"0\" length=\"0\" time=\"0\"/></device></superblock>" | refuse "no length" "range" late
echo "$sb$dev<range_mapping origin_begin=\"0\" data_begin=\"1990\" length=\"11\" time=\"0\"/></device></superblock>" | refuse "past the end" "out of bounds" late
echo "$sb$dev<range_mapping origin_begin=\"9\" data_begin=\"1\" length=\"18446744073709551615\" time=\"0\"/></device></superblock>" | refuse "wrapping" "range" late
echo "$sb$dev${one/time=\"1\"/time=\"16777216\"}</device></superblock>" | refuse "a mapping's time" "beyond 24 bits" late
echo "$sb$dev" | refuse "cut short" "no element found" late
echo "$sb</superblock><superblock/>" | refuse "a second root" "junk after document element" late
echo "$sb</superblock>x" | refuse "text behind the root" "line 1" late
echo "${sb}text</superblock>" | refuse "text" "text between" late
echo "$sb$(printf '<a>%.0s' 1 2 3 4 5 6 7 8 9)" | refuse "depth" "there is no element" late

# inputs
fresh
{ echo "$sb$dev"; for i in {1..1500}; do echo "$one"; one=${one/\"$((i + 4))\" data/\"$((i + 5))\" data}; done; echo "</device></superblock>"; } |
	sed 's/mapped_blocks="0"/mapped_blocks="1500"/' >big.xml
same() { if cmp -s out.img want.img; then ok; else no "$1: other blocks"; fi; }
"$tools/thin_restore" -i big.xml -o out.img && "$tools/thin_check" -q out.img && cp out.img want.img || no "big.xml"
fresh; "$tools/thin_restore" -i - -o out.img <big.xml || no "standard input"; same "standard input"
fresh; cat big.xml | "$tools/thin_restore" -i - -o out.img || no "a pipe"; same "a pipe"
gzip -c big.xml >big; fresh; "$tools/thin_restore" -i big -o out.img || no "gzip"; same "gzip"
{ head -c 5000 big.xml | gzip; tail -c +5001 big.xml | gzip; } >two; fresh; "$tools/thin_restore" -i two -o out.img || no "two of gzip"; same "two of gzip"
head -c 3000 big >cut; fresh; "$tools/thin_restore" -i cut -o out.img 2>err && no "cut gzip"; zero && grep -q "compressed data" err && ok || no "cut gzip: $(cat err)"

# outputs
status() { local want=$1 what=$2; shift 2; "$@" >out 2>err; [ $? = "$want" ] && ok || no "$what: $(cat err)"; }
says() { grep -qF -- "$1" err && ok || no "'$1' is not in $(cat err)"; }
status 64 "no output" "$tools/thin_restore" -i big.xml; says "the following required arguments were not provided"
status 64 "no input" "$tools/thin_restore" -o out.img; says "the following required arguments were not provided"
status 1 "input missing" "$tools/thin_restore" -i nowhere -o out.img; says "Couldn't find input file"
status 1 "input a directory" "$tools/thin_restore" -i . -o out.img; says "Not a block device or regular file"
status 1 "output missing" "$tools/thin_restore" -i big.xml -o nowhere; says "Couldn't find output file"
[ ! -e nowhere ] && ok || no "an output was made"
status 1 "output a directory" "$tools/thin_restore" -i big.xml -o .; says "Not a block device or regular file"
fresh 36864; status 1 "a tiny output" "$tools/thin_restore" -i big.xml -o out.img; says "Output file too small"; zero && ok || no "touched"
cp big.xml copy.xml; truncate -s 1M copy.xml; cp copy.xml kept.xml
status 64 "the same file" "$tools/thin_restore" -i copy.xml -o copy.xml; cmp -s copy.xml kept.xml && ok || no "the input was overwritten"
ln copy.xml link.xml; status 64 "a link to it" "$tools/thin_restore" -i copy.xml -o link.xml
status 64 "from and to it" "$tools/thin_restore" -i - -o copy.xml <copy.xml; cmp -s copy.xml kept.xml && ok || no "the input was overwritten"
fresh; status 0 "numbers instead" "$tools/thin_restore" -i big.xml -o out.img --transaction-id 77 --data-block-size 256 --nr-data-blocks 3000
"$tools/thin_dump" out.img | grep -q 'transaction="77" version="2" data_block_size="256" nr_data_blocks="3000"' && ok || no "numbers instead"
fresh; status 1 "a bad block size instead" "$tools/thin_restore" -i big.xml -o out.img --data-block-size 100; zero && ok || no "touched"
fresh; status 1 "too few data blocks" "$tools/thin_restore" -i big.xml -o out.img --nr-data-blocks 7; says "out of bounds"; invalid && ok || no "valid"
fresh; status 1 "quiet" "$tools/thin_restore" -q -i big.xml -o out.img --nr-data-blocks 7; [ ! -s err ] && ok || no "quiet: $(cat err)"

# too small: the number told is enough, and one less is not
fresh 40960; status 1 "too small" "$tools/thin_restore" -i big.xml -o out.img; says "out of metadata space"; invalid && ok || no "valid"
n=$(sed -n 's/.* \([0-9]*\) are needed.*/\1/p' err)
fresh $((n * 4096)); status 0 "$n blocks" "$tools/thin_restore" -i big.xml -o out.img; "$tools/thin_check" -q out.img && ok || no "$n blocks"
fresh $((n * 4096 - 4096)); status 1 "less than $n blocks" "$tools/thin_restore" -i big.xml -o out.img
echo "${sb/\"2000\"/\"18446744073709551615\"}$dev<range_mapping origin_begin=\"0\" data_begin=\"0\" length=\"1099511627776\" time=\"0\"/></device></superblock>" |
	refuse "more than any metadata holds" "no metadata has more" late

# a disk that fills up; an end at any moment
fresh; (ulimit -f 24; trap '' XFSZ; "$tools/thin_restore" -i big.xml -o out.img 2>err) && no "a full disk"
invalid && grep -q "writing" err && ok || no "a full disk: $(cat err)"
mkfifo pipe
# more than is read at a time
{ echo "$sb$dev"; awk 'BEGIN { for (i = 0; i < 60000; i++)
	printf "<single_mapping origin_block=\"%d\" data_block=\"%d\" time=\"1\"/>\n", i, i % 2000 }'; } >long.xml
for sig in TERM INT HUP KILL; do
	fresh
	# a shell's background job ignores INT
	perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$tools/thin_restore" -i - -o out.img <pipe 2>err &
	pid=$!
	exec 7>pipe
	cat long.xml >&7
	for _ in {1..100}; do [ "$(magic)" = ba529c01 ] && break; sleep 0.05; done
	kill -s $sig $pid; wait $pid 2>/dev/null
	r=$?
	exec 7>&-
	[ $r -gt 128 ] && invalid && ok || no "killed by $sig: $r $(magic)"
	[ $sig = KILL ] || says "not usable"
done

finish
