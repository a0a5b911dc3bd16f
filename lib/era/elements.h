/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The elements of era dumps (see xml-schemas/era.rng). */
#ifndef PD_ERA_ELEMENTS_H
#define PD_ERA_ELEMENTS_H

#include "xml/elements.h"

enum era_element {
	ERA_EL_SUPERBLOCK,	/* struct era_sb_record */
	ERA_EL_WRITESET,	/* struct era_writeset_record */
	ERA_EL_BIT,		/* struct era_xml_bit */
	ERA_EL_MARKED,		/* struct era_xml_marked */
	ERA_EL_ERA_ARRAY,
	ERA_EL_ERA,		/* struct era_xml_era */
	NR_ERA_ELEMENTS
};

struct era_xml_bit {
	uint32_t block;
	bool value;
};

struct era_xml_marked {
	uint32_t begin, len;
};

struct era_xml_era {
	uint32_t block, era;
};

extern const struct xml_schema era_schema;

#endif
