/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clone/elements.h"
#include "clone/records.h"

#define IN(e) (1u << CLONE_EL_##e)

static const struct xml_element elements[NR_CLONE_ELEMENTS] = {
	[CLONE_EL_SUPERBLOCK] = {
		.tag = "superblock", .container = true, .nr_attrs = 5, .attrs = {
			XML_ATTR_VOID("uuid", XML_REQUIRED),
			XML_ATTR_U64("region_size", clone_sb_record, region_size, XML_REQUIRED),
			XML_ATTR_U64("target_size", clone_sb_record, target_size, XML_REQUIRED),
			{ .name = "nr_regions", .type = XML_U64, .absent = CLONE_NOT_GIVEN,
			  .offset = XML_MEMBER(clone_sb_record, nr_regions, uint64_t) },
			{ .name = "nr_hydrated", .type = XML_U64, .absent = CLONE_NOT_GIVEN,
			  .offset = XML_MEMBER(clone_sb_record, nr_hydrated, uint64_t) },
		},
	},
	[CLONE_EL_HYDRATED] = { .tag = "hydrated", .inside = IN(SUPERBLOCK), .container = true },
	[CLONE_EL_RANGE] = {
		.tag = "range", .inside = IN(HYDRATED), .nr_attrs = 2, .attrs = {
			XML_ATTR_U64("begin", clone_range_record, begin, XML_REQUIRED),
			XML_ATTR_U64("end", clone_range_record, end, XML_REQUIRED),
		},
	},
};

const struct xml_schema clone_schema = {
	.elements = elements,
	.nr = NR_CLONE_ELEMENTS,
	.record_size = sizeof(struct clone_sb_record),
};
