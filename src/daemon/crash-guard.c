/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For each service: when which patch became active, and the last deaths, each with the set of
 * patches it had. A patch is suspected when at least N deaths with it lie within the last M
 * minutes, and it is guilty unless as many fell into some M minutes before it came: then the
 * service dies by itself. Of several suspects the one that came last is taken, and the deaths are
 * settled: if another was the cause, further deaths will tell.
 */
#include "daemon/crash-guard.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/array.h"
#include "base/file.h"
#include "daemon/durable.h"

#define SCHEMA "suture-crash-guard-1"
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 64
#define FILE_MODE 0600

struct active {
        char *patch;
        uint64_t since;
};

struct death {
        uint64_t time;
        uint32_t patches;       /* bits: indices of the service's `active` */
        bool settled;
};

struct service {
        char *name;
        uint64_t news;          /* when it was heard of last */
        struct active active[CRASH_GUARD_MAX_PATCHES];
        size_t n_active;
        struct death deaths[CRASH_GUARD_MAX_DEATHS]; /* oldest first */
        size_t n_deaths;
};

struct crash_guard {
        struct crash_guard_limits limits;
        int64_t offset;         /* guard's clock minus boot clock */
        struct service **services;
        size_t n_services;
};

struct crash_guard *crash_guard_new(const struct crash_guard_limits *limits)
{
        struct crash_guard *guard = calloc(1, sizeof(*guard));

        if (guard)
                guard->limits = *limits;
        return guard;
}

static struct service *service_free(struct service *service)
{
        if (!service)
                return NULL;
        for (size_t i = 0; i < service->n_active; i++)
                free(service->active[i].patch);
        free(service->name);
        free(service);
        return NULL;
}

struct crash_guard *crash_guard_free(struct crash_guard *guard)
{
        if (!guard)
                return NULL;
        for (size_t i = 0; i < guard->n_services; i++)
                service_free(guard->services[i]);
        free(guard->services);
        free(guard);
        return NULL;
}

void crash_guard_set_limits(struct crash_guard *guard, const struct crash_guard_limits *limits)
{
        guard->limits = *limits;
}

uint64_t crash_guard_clock(const struct crash_guard *guard, uint64_t boottime_ns)
{
        return (uint64_t)((int64_t)boottime_ns + guard->offset);
}

bool crash_guard_counts(const struct crash_guard_death *death)
{
        static const int faults[] = {
                SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS,
        };

        for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
                if (death->signal == faults[i])
                        return true;
        return death->signal == 0 && death->exit_status != 0 && death->service_main;
}

static struct service *find_service(const struct crash_guard *guard, const char *name)
{
        for (size_t i = 0; i < guard->n_services; i++)
                if (strcmp(guard->services[i]->name, name) == 0)
                        return guard->services[i];
        return NULL;
}

static void forget_oldest(struct crash_guard *guard)
{
        size_t oldest = 0;

        for (size_t i = 1; i < guard->n_services; i++)
                if (guard->services[i]->news < guard->services[oldest]->news)
                        oldest = i;
        service_free(guard->services[oldest]);
        guard->services[oldest] = guard->services[--guard->n_services];
}

static struct service *get_service(struct crash_guard *guard, const char *name)
{
        struct service *service = find_service(guard, name), **place;

        if (service)
                return service;
        if (guard->n_services == CRASH_GUARD_MAX_SERVICES)
                forget_oldest(guard);
        service = calloc(1, sizeof(*service));
        if (service)
                service->name = strndup(name, CRASH_GUARD_NAME_SIZE - 1);
        place = service && service->name ? ARRAY_PUSH(guard->services, guard->n_services) : NULL;
        if (!place)
                return service_free(service);
        *place = service;
        return service;
}

static int find_active(const struct service *service, const char *patch)
{
        for (size_t i = 0; i < service->n_active; i++)
                if (strcmp(service->active[i].patch, patch) == 0)
                        return (int)i;
        return -1;
}

static void remove_active(struct service *service, size_t index)
{
        uint32_t below = (1u << index) - 1;

        free(service->active[index].patch);
        memmove(&service->active[index], &service->active[index + 1],
                (--service->n_active - index) * sizeof(service->active[0]));
        for (size_t i = 0; i < service->n_deaths; i++) {
                uint32_t bits = service->deaths[i].patches;

                /* With a patch that is gone: nothing that another can be compared with. */
                service->deaths[i].settled |= bits >> index & 1;
                service->deaths[i].patches = (bits & below) | (bits >> 1 & ~below);
        }
}

/* The index of the patch, or -1 when memory is out. */
static int add_active(struct service *service, const char *patch, uint64_t time_ns)
{
        int index = find_active(service, patch);

        if (index >= 0)
                return index;
        if (service->n_active == CRASH_GUARD_MAX_PATCHES)
                remove_active(service, 0);
        index = (int)service->n_active;
        service->active[index].patch = strndup(patch, CRASH_GUARD_NAME_SIZE - 1);
        service->active[index].since = time_ns;
        if (!service->active[index].patch)
                return -1;
        service->n_active++;
        return index;
}

bool crash_guard_activated(struct crash_guard *guard, const char *name, const char *patch,
                           uint64_t time_ns)
{
        struct service *service = get_service(guard, name);

        if (!service)
                return false;
        service->news = MAX(service->news, time_ns);
        return add_active(service, patch, time_ns) >= 0;
}

static int add_death(struct service *service, const struct crash_guard_death *death)
{
        struct death *last;
        uint32_t bits = 0;

        for (size_t i = 0; i < death->n_patches; i++)
                if (add_active(service, death->patches[i], death->time_ns) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < death->n_patches; i++) {
                int index = find_active(service, death->patches[i]);

                bits |= index >= 0 ? 1u << index : 0;
        }
        if (service->n_deaths == CRASH_GUARD_MAX_DEATHS)
                memmove(service->deaths, service->deaths + 1,
                        --service->n_deaths * sizeof(service->deaths[0]));
        last = &service->deaths[service->n_deaths++];
        /* Reports may come late; for the windows they count as they came. */
        *last = (struct death){ .time = death->time_ns, .patches = bits };
        if (service->n_deaths > 1 && last->time < last[-1].time)
                last->time = last[-1].time;
        return 0;
}

/* How many deaths with the patch lie within the time before now. */
static uint32_t count_after(const struct service *service, size_t patch, uint64_t now,
                            uint64_t within)
{
        uint32_t n = 0;

        for (size_t i = 0; i < service->n_deaths; i++) {
                const struct death *death = &service->deaths[i];

                n += !death->settled && death->patches >> patch & 1 &&
                     now - MIN(now, death->time) <= within;
        }
        return n;
}

/* The most deaths without the patch that lay within such a time before it became active. */
static uint32_t count_before(const struct service *service, size_t patch, uint64_t within)
{
        uint64_t since = service->active[patch].since;
        uint32_t most = 0;

        for (size_t i = 0; i < service->n_deaths; i++) {
                uint32_t n = 0;

                for (size_t k = i; k < service->n_deaths; k++) {
                        const struct death *death = &service->deaths[k];

                        n += !death->settled && !(death->patches >> patch & 1) &&
                             death->time <= since &&
                             death->time - service->deaths[i].time <= within;
                }
                most = MAX(most, n);
        }
        return most;
}

static void settle(struct service *service, size_t patch)
{
        for (size_t i = 0; i < service->n_deaths; i++)
                service->deaths[i].settled |= service->deaths[i].patches >> patch & 1;
}

static void format_reason(const struct crash_guard *guard, const struct crash_guard_death *death,
                          struct crash_guard_verdict *verdict)
{
        char how[64];

        if (death->signal)
                snprintf(how, sizeof(how), "by signal %d", death->signal);
        else
                snprintf(how, sizeof(how), "with exit status %d", death->exit_status);
        snprintf(verdict->reason, sizeof(verdict->reason),
                 "%.200s died %u times within %llu s with the patch, last %s; before it %u times",
                 death->service, verdict->deaths,
                 (unsigned long long)(guard->limits.within_ns / 1000000000u), how, verdict->before);
}

int crash_guard_death(struct crash_guard *guard, const struct crash_guard_death *death,
                      struct crash_guard_verdict *ret)
{
        struct service *service;
        int guilty = -1;

        if (guard->limits.deaths == 0 || !crash_guard_counts(death))
                return 0;
        service = get_service(guard, death->service);
        if (!service || add_death(service, death) < 0)
                return -ENOMEM;
        service->news = MAX(service->news, death->time_ns);
        for (size_t i = 0; i < service->n_active; i++) {
                uint32_t after = count_after(service, i, death->time_ns, guard->limits.within_ns);
                uint32_t before = count_before(service, i, guard->limits.within_ns);

                if (after < guard->limits.deaths || after <= before ||
                    (guilty >= 0 && service->active[guilty].since > service->active[i].since))
                        continue;
                guilty = (int)i;
                ret->deaths = after;
                ret->before = before;
        }
        if (guilty < 0)
                return 0;
        snprintf(ret->patch, sizeof(ret->patch), "%s", service->active[guilty].patch);
        format_reason(guard, death, ret);
        settle(service, (size_t)guilty);
        remove_active(service, (size_t)guilty);
        return CRASH_GUARD_QUARANTINE;
}

static json_t *service_json(const struct service *service)
{
        json_t *active = json_array(), *deaths = json_array();

        for (size_t i = 0; i < service->n_active; i++)
                json_array_append_new(active, json_pack("{s:s, s:I}", "patch",
                                                        service->active[i].patch, "since",
                                                        (json_int_t)service->active[i].since));
        for (size_t i = 0; i < service->n_deaths; i++)
                json_array_append_new(deaths, json_pack("[I, I, b]",
                                                        (json_int_t)service->deaths[i].time,
                                                        (json_int_t)service->deaths[i].patches,
                                                        service->deaths[i].settled));
        return json_pack("{s:s, s:I, s:o, s:o}", "name", service->name, "news",
                         (json_int_t)service->news, "active", active, "deaths", deaths);
}

int crash_guard_save(const struct crash_guard *guard, const char *boot_id, uint64_t boottime_ns,
                     struct buffer *ret, struct error *err)
{
        json_t *services = json_array(), *root;
        char *text;
        bool good;

        for (size_t i = 0; i < guard->n_services; i++) {
                /* A name that is no UTF-8 can't be kept; it is counted anew after a restart. */
                json_t *item = service_json(guard->services[i]);

                if (item)
                        json_array_append_new(services, item);
        }
        root = json_pack("{s:s, s:s, s:I, s:I, s:o}", "schema", SCHEMA, "boot", boot_id, "clock",
                         (json_int_t)crash_guard_clock(guard, boottime_ns), "offset",
                         (json_int_t)guard->offset, "services", services);
        text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        good = text && buffer_printf(ret, "%s\n", text);
        free(text);
        json_decref(root);
        return good ? 0 : error_no_memory(err);
}

static bool restore_active(struct service *service, json_t *list)
{
        json_t *item;
        size_t i;

        if (!json_is_array(list) || json_array_size(list) > CRASH_GUARD_MAX_PATCHES)
                return false;
        json_array_foreach(list, i, item) {
                const char *patch;
                json_int_t since;

                if (json_unpack(item, "{s:s, s:I}", "patch", &patch, "since", &since) < 0 ||
                    add_active(service, patch, (uint64_t)since) != (int)i)
                        return false;
        }
        return true;
}

static bool restore_deaths(struct service *service, json_t *list)
{
        json_t *item;
        size_t i;

        if (!json_is_array(list) || json_array_size(list) > CRASH_GUARD_MAX_DEATHS)
                return false;
        json_array_foreach(list, i, item) {
                struct death *death = &service->deaths[i];
                json_int_t time, patches;
                int settled;

                if (json_unpack(item, "[I, I, b]", &time, &patches, &settled) < 0 || time < 0 ||
                    patches < 0 || patches >= 1ll << service->n_active ||
                    (i > 0 && (uint64_t)time < death[-1].time))
                        return false;
                *death = (struct death){ (uint64_t)time, (uint32_t)patches, settled };
                service->n_deaths++;
        }
        return true;
}

static bool restore_services(struct crash_guard *guard, json_t *list)
{
        json_t *item;
        size_t i;

        if (!json_is_array(list) || json_array_size(list) > CRASH_GUARD_MAX_SERVICES)
                return false;
        json_array_foreach(list, i, item) {
                struct service *service;
                const char *name;
                json_int_t news;
                json_t *active, *deaths;

                if (json_unpack(item, "{s:s, s:I, s:o, s:o}", "name", &name, "news", &news,
                                "active", &active, "deaths", &deaths) < 0 ||
                    find_service(guard, name))
                        return false;
                service = get_service(guard, name);
                if (!service || !restore_active(service, active) ||
                    !restore_deaths(service, deaths))
                        return false;
                service->news = (uint64_t)news;
        }
        return true;
}

static bool restore_root(struct crash_guard *guard, json_t *root, const char *boot_id,
                         uint64_t boottime_ns)
{
        const char *schema, *boot;
        json_int_t clock, offset;
        json_t *services;

        if (json_unpack(root, "{s:s, s:s, s:I, s:I, s:o}", "schema", &schema, "boot", &boot,
                        "clock", &clock, "offset", &offset, "services", &services) < 0 ||
            strcmp(schema, SCHEMA) != 0 || clock < 0)
                return false;
        guard->offset = strcmp(boot, boot_id) == 0 ? offset : clock - (json_int_t)boottime_ns;
        return restore_services(guard, services);
}

int crash_guard_restore(const void *data, size_t size, const struct crash_guard_limits *limits,
                        const char *boot_id, uint64_t boottime_ns, struct crash_guard **ret,
                        struct error *err)
{
        _cleanup_(crash_guard_freep) struct crash_guard *guard = crash_guard_new(limits);
        json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
        bool good = guard && root && restore_root(guard, root, boot_id, boottime_ns);

        json_decref(root);
        if (!good)
                return guard ? error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                         "the crash guard's state is damaged")
                             : error_no_memory(err);
        *ret = STEAL(guard);
        return 0;
}

static int read_clock(char boot_id[static BOOT_ID_SIZE], uint64_t *ret_ns, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        struct timespec now;
        int r = file_read(BOOT_ID_PATH, BOOT_ID_SIZE, &text, err);

        if (r < 0)
                return r;
        snprintf(boot_id, BOOT_ID_SIZE, "%.*s", (int)strcspn((char *)text.data, "\n"),
                 (char *)text.data);
        clock_gettime(CLOCK_BOOTTIME, &now);
        *ret_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        return 0;
}

int crash_guard_store(const struct crash_guard *guard, int folder, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char boot_id[BOOT_ID_SIZE];
        uint64_t now;
        int r = read_clock(boot_id, &now, err);

        if (r == 0)
                r = crash_guard_save(guard, boot_id, now, &text, err);
        return r < 0 ? r : durable_write(folder, CRASH_GUARD_NAME, text.data, text.size, FILE_MODE,
                                         err);
}

int crash_guard_load(int folder, const struct crash_guard_limits *limits, struct crash_guard **ret,
                     struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char boot_id[BOOT_ID_SIZE];
        uint64_t now;
        int r = read_clock(boot_id, &now, err);

        if (r < 0)
                return r;
        r = durable_read(folder, CRASH_GUARD_NAME, CRASH_GUARD_MAX_BYTES, &text, err);
        if (r == -ENOENT) {
                *ret = crash_guard_new(limits);
                return *ret ? 0 : error_no_memory(err);
        }
        return r < 0 ? r : crash_guard_restore(text.data, text.size, limits, boot_id, now, ret, err);
}
