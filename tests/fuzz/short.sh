#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same few thousand mutated pools each time.
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
xz -dc "$here/../images/sample/healthy.img.xz" >"$w/healthy.img" || exit 1
xz -dc "$here/../images/sample/damaged.img.xz" >"$w/damaged.img" || exit 1
fuzz/thin-mutate 1 1500 "$w/healthy.img" "$w/damaged.img"
