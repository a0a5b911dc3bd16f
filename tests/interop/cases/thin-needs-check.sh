#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The metadata device fails while it is written: the kernel sets needs_check and keeps the pool
# read-only until thin_check --clear-needs-check-flag has looked at it.
#: disk META 8M
#: disk DATA 64M
#: tool thin_check
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=65536 B=65536 N=$(sectors "$META")
wipe "$META"
create m "0 $N linear $META 0"
pool p /dev/mapper/m "$DATA" 128 skip_block_zeroing
new_thin t0 p 0 $S
mark random /dev/mapper/t0 $B 100 512 a
must dmsetup suspend --nolockfs --noflush m
must dmsetup load m --table "0 8 linear $META 0
8 $((N - 8)) flakey $META 8 0 60 1 error_writes"
must dmsetup resume m
mark random /dev/mapper/t0 $B 20 512 b 2>/dev/null || :
dmsetup status p >flags
grep -q needs_check flags || die "the kernel did not set the flag: $(cat flags)"
gone t0 p m

mode() { pool p "$META" "$DATA" 128 skip_block_zeroing; dmsetup status p; gone p; }
case $(mode) in *needs_check*) ;; *) die "the flag is gone without a check" ;; esac
thin_check "$META" >out 2>err || :
case $(mode) in *needs_check*) ;; *) die "a plain check cleared the flag" ;; esac
quiet thin_check -q --clear-needs-check-flag "$META"
case $(mode) in *needs_check*) die "the flag is still set" ;; esac
pool p "$META" "$DATA" 128 skip_block_zeroing
thin t0 p 0 $S
mark random /dev/mapper/t0 $B 100 512 c
gone t0 p
quiet thin_check "$META"
