/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Which translation units of a module the fix concerns, and their objects: compiled from the original
 * and from the fixed source with the logged commands, one section for each function.
 */
#include "build/compile-log.h"
#include "build/fix.h"
#include "build/modules.h"
#include "build/readings.h"

struct unit_objects {
        const struct compile_unit *unit; /* of the compile log */
        struct compile_unit *own;        /* is `unit`, of a source that the fix adds */
        char *name;                      /* the source file, relative to the tree */
        char *original, *fixed;          /* the objects compiled now, on the host */
};

struct unit_list {
        struct unit_objects *items;
        size_t n_items;
};
void unit_list_done(struct unit_list *list);

/* The commands noted while the original was built. */
int units_read_log(const struct rebuilt *rebuilt, struct compile_log *ret, struct error *err);

/*
 * The units that read a changed file and whose object is in the module: of several objects made
 * from one source (libtool compiles twice, with and without -fPIC) the one whose functions are the
 * module's; all, where they define different names. May be empty: the fix does not concern this module. What they read of the fix is noted
 * in it.
 */
int units_find(const struct store *store, const struct rebuilt *rebuilt,
               const struct compile_log *log, const struct unit_readings *readings,
               struct applied_fix *fix, const struct module_pair *module, struct unit_list *ret,
               struct error *err);

/*
 * Adds a unit for a source file that only the fixed tree has, to be compiled as a unit of the list
 * is: one of its folder, else the first. It has no original.
 */
int units_add_new(const struct rebuilt *rebuilt, const char *name, struct unit_list *list,
                  struct error *err);

/*
 * Compiles them; unit_objects.original and .fixed are then set. `name` is one of each module, for
 * the folders of its objects.
 */
int units_compile(const struct store *store, const struct rebuilt *rebuilt,
                  const struct compile_log *log, const char *name, struct unit_list *list,
                  struct error *err);
