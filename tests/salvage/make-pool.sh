#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the guest: a pool with snapshots, deletions and reactivations, seeded; its metadata as it was at two times, in $OUT.
# shellcheck source=../interop/lib.sh disable=SC1091
. "${LIB:?}"
N=49152 S=$((49152 * 128))
# touch_blocks DEV COUNT FIRST RANGE: so many blocks out of a range, in random order
touch_blocks()
{
	perl -MIO::Handle -e 'my ($dev, $n, $first, $range, $seed) = @ARGV; srand($seed); open(my $f, "+<", $dev) or die;
		for (1 .. $n) { my $b = $first + int rand $range; sysseek($f, $b * 65536, 0); syswrite($f, "x" x 4096) or die $!; $f->sync if $_ % 700 == 0; }
		close $f;' "$1" "$2" "$3" "$4" $((SEED * 1000 + RANDOM % 1000)) || die "writing to $1"
	sync
}
RANDOM=$SEED
wipe "${META:?}"
pool p "$META" "${DATA:?}" 128 skip_block_zeroing
new_thin t0 p 0 $S
touch_blocks /dev/mapper/t0 14000 0 $N
new_thin t1 p 1 $S
touch_blocks /dev/mapper/t1 5000 $((RANDOM % 9000)) 9000
snap p 2 0 t0
touch_blocks /dev/mapper/t0 700 $((RANDOM % 9000)) 20000
snap p 3 1 t1
touch_blocks /dev/mapper/t1 400 0 $N
gone t0 t1 p
pool p "$META" "$DATA" 128 skip_block_zeroing
thin t0 p 0 $S
thin t2 p 2 $S
touch_blocks /dev/mapper/t0 $((100 + RANDOM % 200)) 0 $N
gone t0 t2 p
must dd if="$META" of="${OUT:?}/old.img" bs=1M iflag=direct status=none
pool p "$META" "$DATA" 128 skip_block_zeroing
thin t0 p 0 $S
thin t2 p 2 $S
touch_blocks /dev/mapper/t2 $((100 + RANDOM % 200)) 0 $N
message p "delete 3"
snap p 4 2 t2
touch_blocks /dev/mapper/t0 200 $((RANDOM % 9000)) 9000
sleep 1.2
new_thin t5 p 5 $S
touch_blocks /dev/mapper/t5 $((2000 + RANDOM % 300)) 0 $N
touch_blocks /dev/mapper/t0 50 0 $N
gone t0 t2 t5 p
must dd if="$META" of="$OUT/new.img" bs=1M iflag=direct status=none
quiet thin_check "$META"
