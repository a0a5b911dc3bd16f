/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "era/elements.h"
#include "era/records.h"

#define IN(e) (1u << ERA_EL_##e)

static const struct xml_element elements[NR_ERA_ELEMENTS] = {
	[ERA_EL_SUPERBLOCK] = {
		.tag = "superblock", .container = true, .nr_attrs = 4, .attrs = {
			XML_ATTR_VOID("uuid", XML_REQUIRED),
			XML_ATTR_U32("block_size", era_sb_record, block_size, XML_REQUIRED),
			XML_ATTR_U32("nr_blocks", era_sb_record, nr_blocks, XML_REQUIRED),
			XML_ATTR_U32("current_era", era_sb_record, current_era, XML_REQUIRED),
		},
	},
	[ERA_EL_WRITESET] = {
		.tag = "writeset", .inside = IN(SUPERBLOCK), .container = true, .nr_attrs = 2, .attrs = {
			XML_ATTR_U32("era", era_writeset_record, era, XML_REQUIRED),
			XML_ATTR_U32("nr_bits", era_writeset_record, nr_bits, XML_REQUIRED),
		},
	},
	[ERA_EL_BIT] = {
		.tag = "bit", .inside = IN(WRITESET), .nr_attrs = 2, .attrs = {
			XML_ATTR_U32("block", era_xml_bit, block, XML_REQUIRED),
			XML_ATTR_BOOL("value", era_xml_bit, value, XML_REQUIRED),
		},
	},
	[ERA_EL_MARKED] = {
		.tag = "marked", .inside = IN(WRITESET), .nr_attrs = 2, .attrs = {
			XML_ATTR_U32("block_begin", era_xml_marked, begin, XML_REQUIRED),
			XML_ATTR_U32("len", era_xml_marked, len, XML_REQUIRED),
		},
	},
	[ERA_EL_ERA_ARRAY] = { .tag = "era_array", .inside = IN(SUPERBLOCK), .container = true },
	[ERA_EL_ERA] = {
		.tag = "era", .inside = IN(ERA_ARRAY), .nr_attrs = 2, .attrs = {
			XML_ATTR_U32("block", era_xml_era, block, XML_REQUIRED),
			XML_ATTR_U32("era", era_xml_era, era, XML_REQUIRED),
		},
	},
};

const struct xml_schema era_schema = {
	.elements = elements,
	.nr = NR_ERA_ELEMENTS,
	.record_size = sizeof(struct era_sb_record),
};
