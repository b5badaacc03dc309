/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A path such as /system.slice/docker-4f2a81c0aabb….scope is walked component by component. The
 * first one that a row of `container_kinds` knows is where the container begins; what stands
 * behind it was named inside the container.
 */
#include "proc/cgroup.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

#define ID_SHOWN 12 /* digits of a container's id that people use */

struct component {
        const char *text;
        size_t size;
};

/* The component at *path, which is moved behind it; false at the end. */
static bool next_component(const char **path, struct component *ret)
{
        *path += strspn(*path, "/");
        ret->text = *path;
        ret->size = strcspn(*path, "/");
        *path += ret->size;
        return ret->size > 0;
}

static bool ends_with(const struct component *component, const char *suffix)
{
        size_t size = strlen(suffix);

        return component->size > size &&
               memcmp(component->text + component->size - size, suffix, size) == 0;
}

static bool starts_with(const struct component *component, const char *prefix)
{
        size_t size = strlen(prefix);

        return component->size > size && memcmp(component->text, prefix, size) == 0;
}

static bool equals(const struct component *component, const char *text)
{
        return component->size == strlen(text) &&
               memcmp(component->text, text, component->size) == 0;
}

/* The line "N:CONTROLLERS:PATH" that `wanted` accepts; its path is copied. */
static bool find_line(const char *text, bool (*wanted)(const char *controllers, size_t size,
                                                       const char *name),
                      const char *name, char *ret, size_t ret_size)
{
        while (*text) {
                const char *end = text + strcspn(text, "\n");
                const char *first = memchr(text, ':', (size_t)(end - text));
                const char *second =
                        first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;

                if (second && wanted(first + 1, (size_t)(second - first - 1), name)) {
                        snprintf(ret, ret_size, "%.*s", (int)(end - second - 1), second + 1);
                        return true;
                }
                text = *end ? end + 1 : end;
        }
        return false;
}

/* `name` in the comma-separated list; an empty list has the one empty name. */
static bool lists_controller(const char *controllers, size_t size, const char *name)
{
        size_t length = strlen(name);
        const char *end = controllers + size;

        for (;;) {
                const char *comma = memchr(controllers, ',', (size_t)(end - controllers));
                size_t n = (size_t)((comma ? comma : end) - controllers);

                if (n == length && memcmp(controllers, name, n) == 0)
                        return true;
                if (!comma)
                        return false;
                controllers = comma + 1;
        }
}

bool cgroup_parse_controller(const char *text, const char *controller, char *ret, size_t ret_size)
{
        return find_line(text, lists_controller, controller, ret, ret_size);
}

void cgroup_parse_path(const char *text, char *ret, size_t ret_size)
{
        char v1[4096];

        ret[0] = '\0';
        cgroup_parse_controller(text, "", ret, ret_size);
        if (ret[0] && strcmp(ret, "/") != 0)
                return;
        if (cgroup_parse_controller(text, "name=systemd", v1, sizeof(v1)))
                snprintf(ret, ret_size, "%s", v1);
}

/* Undoes the \xNN of unit names (systemd.unit(5), "String Escaping"). */
static void unescape(char *text)
{
        char *out = text;
        unsigned byte;
        int used;

        for (const char *in = text; *in; in++) {
                if (in[0] == '\\' && in[1] == 'x' && sscanf(in + 2, "%2x%n", &byte, &used) == 1 &&
                    used == 2 && byte >= 0x20) {
                        *out++ = (char)byte;
                        in += 3;
                } else {
                        *out++ = *in;
                }
        }
        *out = '\0';
}

struct container_kind {
        const char *prefix, *suffix; /* of the component; what is between is id or name */
        const char *parent;          /* the component before it, or NULL for any */
        const char *kind;
        bool hexadecimal;            /* an id of 64 digits */
};

/* The first row that fits counts. A NULL kind: not a container, look no further. */
static const struct container_kind container_kinds[] = {
        { "docker-", ".scope", NULL, "docker", true },
        { "", "", "docker", "docker", true },
        { "libpod-conmon-", ".scope", NULL, NULL, false },
        { "libpod-", ".scope", NULL, "podman", true },
        { "libpod-", "", NULL, "podman", true },
        { "cri-containerd-", ".scope", NULL, "containerd", true },
        { "crio-conmon-", ".scope", NULL, NULL, false },
        { "crio-", ".scope", NULL, "crio", true },
        { "lxc.monitor.", "", NULL, NULL, false },
        { "lxc.payload.", "", NULL, "lxc", false },
        { "", "", "lxc.payload", "lxc", false },
        { "", "", "lxc", "lxc", false },
        { "machine-qemu", ".scope", NULL, NULL, false },
        { "machine-lxc\\x2d", ".scope", NULL, "lxc", false },
        { "machine-", ".scope", NULL, "nspawn", false },
        { "systemd-nspawn@", ".service", NULL, "nspawn", false },
};

static bool all_hexadecimal(const char *text, size_t size)
{
        return size == 64 && strspn(text, "0123456789abcdef") >= size;
}

static bool kind_fits(const struct container_kind *kind, const struct component *component,
                      const struct component *parent)
{
        size_t prefix = strlen(kind->prefix), suffix = strlen(kind->suffix);

        if (component->size <= prefix + suffix ||
            memcmp(component->text, kind->prefix, prefix) != 0 ||
            memcmp(component->text + component->size - suffix, kind->suffix, suffix) != 0)
                return false;
        if (kind->parent && !equals(parent, kind->parent))
                return false;
        return !kind->hexadecimal ||
               all_hexadecimal(component->text + prefix, component->size - prefix - suffix);
}

static void format_container(const struct container_kind *kind, const struct component *component,
                             char *ret, size_t ret_size)
{
        size_t prefix = strlen(kind->prefix);
        size_t size = component->size - prefix - strlen(kind->suffix);

        snprintf(ret, ret_size, "%s:%.*s", kind->kind,
                 kind->hexadecimal ? ID_SHOWN : (int)size, component->text + prefix);
        if (!kind->hexadecimal)
                unescape(ret);
}

/* In Kubernetes' cgroupfs layout only the group above says so: kubepods/…/podUID/ID. */
static const struct container_kind kubernetes = { "", "", NULL, "kubernetes", true };

/*
 * The container's component: its kind, and the rest of the path behind it; NULL if there is
 * none. systemd-nspawn's own process sits beside the payload, in "supervisor".
 */
static const struct container_kind *find_container(const char *path,
                                                   struct component *ret_component,
                                                   const char **ret_rest)
{
        struct component component, following, parent = { "", 0 };

        for (; next_component(&path, &component); parent = component) {
                const struct container_kind *kind = NULL;

                for (size_t i = 0; i < ARRAY_SIZE(container_kinds) && !kind; i++)
                        if (kind_fits(&container_kinds[i], &component, &parent))
                                kind = &container_kinds[i];
                if (!kind && starts_with(&parent, "pod") &&
                    kind_fits(&kubernetes, &component, &parent))
                        kind = &kubernetes;
                if (!kind)
                        continue;
                *ret_rest = path;
                if (!kind->kind ||
                    (next_component(&path, &following) && equals(&following, "supervisor")))
                        return NULL;
                *ret_component = component;
                return kind;
        }
        return NULL;
}

void cgroup_parse_container(const char *path, char *ret, size_t ret_size)
{
        struct component component;
        const char *rest;
        const struct container_kind *kind = find_container(path, &component, &rest);

        ret[0] = '\0';
        if (kind)
                format_container(kind, &component, ret, ret_size);
}

static bool is_unit(const struct component *component)
{
        return ends_with(component, ".service") || ends_with(component, ".scope") ||
               ends_with(component, ".socket") || ends_with(component, ".mount") ||
               ends_with(component, ".swap");
}

/* The next component that is a unit other than a slice. */
static bool next_unit(const char **path, struct component *ret)
{
        while (next_component(path, ret)) {
                if (!is_unit(ret))
                        continue;
                if (ret->text[0] == '_') { /* put there where a name would clash with a file */
                        ret->text++;
                        ret->size--;
                }
                return true;
        }
        return false;
}

static bool format_unit(const char *path, char *ret, size_t ret_size)
{
        struct component unit, inner;

        ret[0] = '\0';
        if (!next_unit(&path, &unit))
                return false;
        if (starts_with(&unit, "user@") && next_unit(&path, &inner))
                snprintf(ret, ret_size, "%.*s/%.*s", (int)unit.size, unit.text, (int)inner.size,
                         inner.text);
        else
                snprintf(ret, ret_size, "%.*s", (int)unit.size, unit.text);
        return true;
}

void cgroup_parse_unit(const char *path, char *ret, size_t ret_size)
{
        struct component component;
        const char *rest;

        if (find_container(path, &component, &rest) && format_unit(rest, ret, ret_size))
                return;
        format_unit(path, ret, ret_size);
}

/* Where the hierarchies are mounted here; looked up once, they do not move. */
static struct {
        char v2[256], v2_root[256];
        char freezer[256], freezer_root[256];
} mounts;

/* A line of /proc/self/mountinfo: "ID PARENT DEV ROOT POINT OPTIONS… - TYPE SOURCE SUPER". */
static void note_mount(const char *line)
{
        char root[256], point[256], type[32], super[512];
        const char *tail = strstr(line, " - ");

        if (!tail || sscanf(line, "%*s %*s %*s %255s %255s", root, point) != 2 ||
            sscanf(tail, " - %31s %*s %511s", type, super) != 2)
                return;
        if (strcmp(type, "cgroup2") == 0 && !mounts.v2[0]) {
                memcpy(mounts.v2, point, sizeof(point));
                memcpy(mounts.v2_root, root, sizeof(root));
        } else if (strcmp(type, "cgroup") == 0 && !mounts.freezer[0] &&
                   lists_controller(super, strlen(super), "freezer")) {
                memcpy(mounts.freezer, point, sizeof(point));
                memcpy(mounts.freezer_root, root, sizeof(root));
        }
}

static void find_mounts(void)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char *line, *rest;

        if (file_read("/proc/self/mountinfo", 4u << 20, &text, NULL) < 0)
                return;
        for (line = strtok_r((char *)text.data, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest))
                note_mount(line);
}

/* True if the file NAME of the group `path` says `needle`. */
static bool group_says(const char *point, const char *root, const char *path, const char *name,
                       const char *needle)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        size_t root_size = strcmp(root, "/") == 0 ? 0 : strlen(root);
        char file[4096 + 512];

        if (!point[0] || strncmp(path, root, root_size) != 0)
                return false;
        snprintf(file, sizeof(file), "%s%s/%s", point, path + root_size, name);
        return file_read(file, 65536, &text, NULL) == 0 &&
               strstr((const char *)text.data, needle) != NULL;
}

bool cgroup_frozen(const char *text)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        char path[4096];

        pthread_once(&once, find_mounts);
        if (cgroup_parse_controller(text, "", path, sizeof(path)) && strcmp(path, "/") != 0 &&
            group_says(mounts.v2, mounts.v2_root, path, "cgroup.events", "frozen 1"))
                return true;
        /* FREEZING: some of its tasks already are. The root has no such file. */
        return cgroup_parse_controller(text, "freezer", path, sizeof(path)) &&
               strcmp(path, "/") != 0 &&
               (group_says(mounts.freezer, mounts.freezer_root, path, "freezer.state", "FROZEN") ||
                group_says(mounts.freezer, mounts.freezer_root, path, "freezer.state", "FREEZING"));
}
