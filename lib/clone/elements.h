/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The elements of clone dumps (see xml-schemas/clone.rng). */
#ifndef PD_CLONE_ELEMENTS_H
#define PD_CLONE_ELEMENTS_H

#include "xml/elements.h"

enum clone_element {
	CLONE_EL_SUPERBLOCK,	/* struct clone_sb_record */
	CLONE_EL_HYDRATED,
	CLONE_EL_RANGE,		/* struct clone_range_record */
	NR_CLONE_ELEMENTS
};

/* What a number holds that the text left out; no clone has so many regions. */
#define CLONE_NOT_GIVEN UINT32_MAX

extern const struct xml_schema clone_schema;

#endif
