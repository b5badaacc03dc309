/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/select.h"

#include <stdio.h>
#include <string.h>
#include "base/cleanup.h"

#define ID_MIN 4 /* digits of a container's id that are taken for its beginning */

bool selection_given(const struct options *options)
{
        return options->pids.n_items > 0 || options->unit || options->container;
}

static void complete_unit(const char *unit, char *ret, size_t size)
{
        const char *base = strrchr(unit, '/');

        snprintf(ret, size, "%s%s", unit, strchr(base ? base : unit, '.') ? "" : ".service");
}

/* `given` is "docker:4f2a81c0aabb", the part behind the colon, or one begins with the other. */
static bool container_fits(const char *container, const char *given)
{
        const char *colon = strchr(container, ':'), *name = colon ? colon + 1 : container;
        size_t given_size, name_size = strlen(name);

        if (strcmp(container, given) == 0 || strcmp(name, given) == 0)
                return true;
        if (strncmp(given, container, (size_t)(name - container)) == 0)
                given += name - container;
        given_size = strlen(given);
        return name[0] && strspn(given, "0123456789abcdef") == given_size &&
               strspn(name, "0123456789abcdef") == name_size && given_size >= ID_MIN &&
               strncmp(name, given, given_size < name_size ? given_size : name_size) == 0;
}

static int check_container(const char *given, const struct process *process, char *found,
                           size_t size, struct error *err)
{
        if (!process->container[0] || !container_fits(process->container, given))
                return 0;
        if (found[0] && strcmp(found, process->container) != 0)
                return error_set(err, EXIT_CODE_USAGE, 0, "give more of its id",
                                 "\"%s\" may be the container %s or %s", given, found,
                                 process->container);
        snprintf(found, size, "%s", process->container);
        return 0;
}

/* Looks through all processes; what is asked for must be seen at least once. */
static int look_for(const struct options *options, struct selection *selection, struct error *err)
{
        _cleanup_free_ pid_t *pids = NULL;
        bool unit_seen = false;
        size_t n_pids = 0;
        int r = process_list(&pids, &n_pids, err);

        for (size_t i = 0; i < n_pids && r == 0; i++) {
                struct process process;

                if (process_read(pids[i], &process, NULL) != 0)
                        continue;
                unit_seen |= options->unit && strcmp(process.unit, selection->unit) == 0;
                if (options->container)
                        r = check_container(options->container, &process, selection->container,
                                            sizeof(selection->container), err);
        }
        if (r < 0)
                return r;
        if (options->unit && !unit_seen)
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "see the units that run: systemctl list-units",
                                 "no running process belongs to the unit %s", selection->unit);
        if (options->container && !selection->container[0])
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "no running process belongs to a container \"%s\"",
                                 options->container);
        return 0;
}

int selection_make(const struct options *options, struct selection *ret, struct error *err)
{
        int r;

        memset(ret, 0, sizeof(*ret));
        ret->live.pids = options->pids.items;
        ret->live.n_pids = options->pids.n_items;
        if (!options->unit && !options->container)
                return 0;
        if (options->unit)
                complete_unit(options->unit, ret->unit, sizeof(ret->unit));
        r = look_for(options, ret, err);
        if (r < 0)
                return r;
        ret->live.unit = options->unit ? ret->unit : NULL;
        ret->live.container = options->container ? ret->container : NULL;
        return 0;
}
