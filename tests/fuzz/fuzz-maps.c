/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of a maps file, as a kernel (or something that pretends to be one) could print it. */
#include <stdlib.h>
#include <string.h>

#include "proc/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct maps maps = { 0 };
        struct error err = { 0 };

        if (maps_parse((const char *)data, size, &maps, &err) < 0) {
                if (err.cause[0] == '\0')
                        abort();
                return 0;
        }
        for (size_t i = 0; i < maps.n_items; i++) {
                const struct region *region = &maps.items[i];

                if (region->start >= region->end || strlen(region->path) > size)
                        abort();
                if (i > 0 && maps.items[i - 1].end > region->start)
                        abort();
                if (maps_find(&maps, region->start) != region ||
                    maps_find(&maps, region->end - 1) != region ||
                    !maps_covers(&maps, region->start, region->end))
                        abort();
        }
        maps_done(&maps);
        return 0;
}
