/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The elements of thin dumps (cli 7.1). */
#ifndef PD_THIN_ELEMENTS_H
#define PD_THIN_ELEMENTS_H

#include "xml/elements.h"

enum thin_element {
	THIN_EL_SUPERBLOCK,	/* struct thin_sb_record */
	THIN_EL_DEF,		/* struct thin_name_record */
	THIN_EL_DEVICE,		/* struct thin_device_record */
	THIN_EL_SINGLE,		/* struct thin_mapping_record with len 1 */
	THIN_EL_RANGE,		/* struct thin_mapping_record */
	THIN_EL_REF,		/* struct thin_name_record */
	NR_THIN_ELEMENTS
};

struct thin_name_record {
	const char *name;
};

extern const struct xml_schema thin_schema;

#endif
