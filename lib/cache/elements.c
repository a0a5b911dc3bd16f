/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/elements.h"
#include "base/util.h"
#include "cache/records.h"

#define IN(e) (1u << CACHE_EL_##e)

static const struct xml_element elements[NR_CACHE_ELEMENTS] = {
	[CACHE_EL_SUPERBLOCK] = {
		.tag = "superblock", .container = true, .nr_attrs = 5, .attrs = {
			XML_ATTR_VOID("uuid", XML_REQUIRED),
			XML_ATTR_U32("block_size", cache_xml_sb, block_size, XML_REQUIRED),
			XML_ATTR_U32("nr_cache_blocks", cache_xml_sb, nr_cache_blocks, XML_REQUIRED),
			XML_ATTR_STR("policy", cache_xml_sb, policy, XML_REQUIRED),
			XML_ATTR_U32("hint_width", cache_xml_sb, hint_width, XML_REQUIRED),
		},
	},
	[CACHE_EL_MAPPINGS] = { .tag = "mappings", .inside = IN(SUPERBLOCK), .container = true },
	[CACHE_EL_MAPPING] = {
		.tag = "mapping", .inside = IN(MAPPINGS), .nr_attrs = 3, .attrs = {
			XML_ATTR_U32("cache_block", cache_mapping_record, cblock, XML_REQUIRED),
			XML_ATTR_U64("origin_block", cache_mapping_record, oblock, XML_REQUIRED),
			XML_ATTR_BOOL("dirty", cache_mapping_record, dirty, XML_REQUIRED),
		},
	},
	[CACHE_EL_HINTS] = { .tag = "hints", .inside = IN(SUPERBLOCK), .container = true },
	[CACHE_EL_HINT] = {
		.tag = "hint", .inside = IN(HINTS), .nr_attrs = 2, .attrs = {
			XML_ATTR_U32("cache_block", cache_xml_hint, cblock, XML_REQUIRED),
			XML_ATTR_BASE64("data", cache_xml_hint, data, XML_REQUIRED),
		},
	},
	[CACHE_EL_DISCARDS] = { .tag = "discards", .inside = IN(SUPERBLOCK), .container = true },
	[CACHE_EL_DISCARD] = {
		.tag = "discard", .inside = IN(DISCARDS), .nr_attrs = 2, .attrs = {
			XML_ATTR_U64("dbegin", cache_discard_record, begin, XML_REQUIRED),
			XML_ATTR_U64("dend", cache_discard_record, end, XML_REQUIRED),
		},
	},
};

const struct xml_schema cache_schema = {
	.elements = elements,
	.nr = NR_CACHE_ELEMENTS,
	.record_size = max_t(size_t, sizeof(struct cache_xml_sb), sizeof(struct cache_xml_hint)),
};
