/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thin/elements.h"
#include "base/util.h"
#include "thin/records.h"

#define IN(e) (1u << THIN_EL_##e)

static const struct xml_element elements[NR_THIN_ELEMENTS] = {
	[THIN_EL_SUPERBLOCK] = {
		.tag = "superblock", .container = true, .nr_attrs = 8, .attrs = {
			XML_ATTR_VOID("uuid", XML_REQUIRED),
			XML_ATTR_U24("time", thin_sb_record, time, XML_REQUIRED),
			XML_ATTR_U64("transaction", thin_sb_record, transaction, XML_REQUIRED),
			XML_ATTR_U32("flags", thin_sb_record, flags, XML_IF_SET),
			{ .name = "version", .type = XML_U32, .absent = 2,
			  .offset = XML_MEMBER(thin_sb_record, version, uint32_t) },
			XML_ATTR_U32("data_block_size", thin_sb_record, data_block_size, XML_REQUIRED),
			XML_ATTR_U64("nr_data_blocks", thin_sb_record, nr_data_blocks, XML_REQUIRED),
			XML_ATTR_U64("metadata_snap", thin_sb_record, metadata_snap, XML_READ_ONLY),
		},
	},
	[THIN_EL_DEF] = {
		.tag = "def", .inside = IN(SUPERBLOCK), .container = true, .nr_attrs = 1, .attrs = {
			XML_ATTR_STR("name", thin_name_record, name, XML_REQUIRED),
		},
	},
	[THIN_EL_DEVICE] = {
		.tag = "device", .inside = IN(SUPERBLOCK), .container = true, .nr_attrs = 5, .attrs = {
			XML_ATTR_U24("dev_id", thin_device_record, dev_id, XML_REQUIRED),
			XML_ATTR_U64("mapped_blocks", thin_device_record, mapped_blocks, XML_REQUIRED),
			XML_ATTR_U64("transaction", thin_device_record, transaction, XML_REQUIRED),
			XML_ATTR_U32("creation_time", thin_device_record, creation_time, XML_REQUIRED),
			XML_ATTR_U32("snap_time", thin_device_record, snap_time, XML_REQUIRED),
		},
	},
	[THIN_EL_SINGLE] = {
		.tag = "single_mapping", .inside = IN(DEVICE) | IN(DEF), .nr_attrs = 4, .attrs = {
			XML_ATTR_U64("origin_block", thin_mapping_record, vbegin, XML_REQUIRED),
			XML_ATTR_U64("data_block", thin_mapping_record, dbegin, XML_REQUIRED),
			XML_ATTR_U24("time", thin_mapping_record, time, XML_REQUIRED),
			XML_IMPLIED_U64("length", thin_mapping_record, len, 1),
		},
	},
	[THIN_EL_RANGE] = {
		.tag = "range_mapping", .inside = IN(DEVICE) | IN(DEF), .nr_attrs = 4, .attrs = {
			XML_ATTR_U64("origin_begin", thin_mapping_record, vbegin, XML_REQUIRED),
			XML_ATTR_U64("data_begin", thin_mapping_record, dbegin, XML_REQUIRED),
			XML_ATTR_U64("length", thin_mapping_record, len, XML_REQUIRED),
			XML_ATTR_U24("time", thin_mapping_record, time, XML_REQUIRED),
		},
	},
	[THIN_EL_REF] = {
		.tag = "ref", .inside = IN(DEVICE), .nr_attrs = 1, .attrs = {
			XML_ATTR_STR("name", thin_name_record, name, XML_REQUIRED),
		},
	},
};

const struct xml_schema thin_schema = {
	.elements = elements,
	.nr = NR_THIN_ELEMENTS,
	.record_size = max_t(size_t, sizeof(struct thin_sb_record), sizeof(struct thin_device_record)),
};
