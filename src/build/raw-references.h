/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What the bytes of an object refer to, section by section, before they are cut into atoms. */
#include "build/object.h"

/* A relocation before it is known which atom it belongs to. */
struct raw {
        size_t section;          /* whose bytes it changes */
        struct reference reference; /* offset is in the section */
        size_t target_section;   /* 0: not defined here */
        int64_t target_offset;   /* what is meant, in that section */
        const struct elf_symbol *symbol;
};

struct raw_list {
        struct raw *items;
        size_t n_items;
};
void raw_list_done(struct raw_list *list);

/*
 * All references of the sections that count (object_section_kind()), in order of section and
 * offset. The object's sections and symbols have been read.
 */
int raw_references_read(const struct object *object, struct raw_list *list, struct error *err);
