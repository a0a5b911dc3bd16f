#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The pool runs out of metadata space, which leaves counts too high and needs_check set. After
# --auto-repair every mapped block still reads the same, and the pool goes on once it has space.
#: disk META 2M
#: disk DATA 4G
#: tool thin_check
#: tool thin_dump
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=8388608 B=65536
wipe "$META"
create m "0 640 linear $META 0"		# 80 blocks
pool p /dev/mapper/m "$DATA" 128 skip_block_zeroing error_if_no_space
new_thin t0 p 0 $S
"$MARK" random /dev/mapper/t0 $B 20000 65536 a 2>err && die "it had space"
gone t0 p
fails 1 thin_check /dev/mapper/m
thin_dump /dev/mapper/m | dump_maps | sort >before
quiet thin_check --auto-repair /dev/mapper/m
quiet thin_check /dev/mapper/m
thin_dump /dev/mapper/m | dump_maps | sort >after
same before after "mending changed mappings"
gone m
create m "0 $(sectors "$META") linear $META 0"
pool p /dev/mapper/m "$DATA" 128 skip_block_zeroing error_if_no_space
dmsetup status p >told
if grep -q needs_check told; then die "the flag is still set"; fi
thin t0 p 0 $S
mark random /dev/mapper/t0 $B 300 65536 b
snap p 1 0 t0
mark random /dev/mapper/t0 $B 300 65536 c
gone t0 p
quiet thin_check /dev/mapper/m
