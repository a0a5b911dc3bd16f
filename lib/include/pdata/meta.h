/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Metadata of any type
 *
 * What checks, dumps and repairs of all types share: findings and how they are handed out.
 */
#ifndef PDATA_META_H
#define PDATA_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>
#include <pdata/problems.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum pd_place - which structure a finding is about. */
enum pd_place {
	PD_AT_SUPERBLOCK,
	PD_AT_DETAILS,		/* thin: device details tree */
	PD_AT_MAPPINGS,		/* thin: upper tree and each device's tree */
	PD_AT_MAPPING_ARRAY,	/* cache */
	PD_AT_DIRTY,
	PD_AT_HINTS,
	PD_AT_DISCARDS,
	PD_AT_WRITESETS,	/* era */
	PD_AT_WRITESET,
	PD_AT_ERA_ARRAY,
	PD_AT_REGIONS,		/* clone */
	PD_AT_DATA_SM,
	PD_AT_METADATA_SM,
	PD_NR_PLACES
};

#define PD_NO_BLOCK UINT64_MAX

/**
 * struct pd_finding - one thing that is wrong.
 * @problem: row of the problem table
 * @severity: the row's, or less where this structure matters less
 * @place:   structure it is in
 * @snap:    in the metadata snapshot, not in the live metadata
 * @has_key: @key names the device (thin) or era (writeset) concerned
 * @begin:   keys [begin, end) are concerned; @end 0 means to the end, begin == end == 0 with
 * @end:     !@has_range means none
 * @block:   metadata block it was found in, or PD_NO_BLOCK
 * @got:     what is there, where that is a number
 * @want:    what should be
 */
struct pd_finding {
	enum pd_problem problem;
	enum pd_severity severity;
	enum pd_place place;
	bool snap;
	bool has_key;
	bool has_range;
	bool has_numbers;
	uint64_t key;
	uint64_t begin, end;
	uint64_t block;
	uint64_t got, want;
};

/**
 * struct pd_check_result - what a check found.
 * @worst:       highest severity among the findings
 * @counts:      findings by severity
 * @needs_check: the flag was set when the check began
 * @cleared:     the flag was cleared
 * @mended:      space map entries that were mended
 */
struct pd_check_result {
	enum pd_severity worst;
	uint64_t counts[PD_SEV_FATAL + 1];
	bool needs_check;
	bool cleared;
	uint64_t mended;
};

#ifdef __cplusplus
}
#endif
#endif
