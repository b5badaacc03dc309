/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The usual module is told by the maps alone: an executable mapping of a file, and before it the
 * mapping of the same file that begins at offset 0, where the ELF header lies. Only its build ID
 * is then read. This settles nearly every module of nearly every process.
 *
 * What is left are executable mappings without such a header (text moved to huge pages, code made
 * at run time) and files mapped more than once, where the nearest header need not be the right
 * one. For these the candidates' program headers are read from memory, and a candidate counts if
 * one of its executable segments lies where an executable mapping is.
 *
 * The cache is filled from the mapped file itself (/proc/PID/map_files, which needs privileges),
 * never from a process's memory: a process may have changed its private copy of a header, and
 * must not be able to hide a library of all others by that. File systems without a device of
 * their own (btrfs, overlayfs) don't have inode numbers unique to a device, so they are left out.
 */
#include "proc/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/cleanup.h"
#include "elf/image.h"
#include "proc/process.h"

struct cache_entry {
        uint32_t device_major, device_minor;
        uint64_t inode;   /* 0: the entry is free */
        int outcome;      /* of elf_image_read_build_id() */
        struct build_id build_id;
};

struct module_cache {
        struct cache_entry *entries; /* open addressing, half full at most */
        size_t capacity, n_entries;  /* the capacity is a power of two */
        bool unprivileged;           /* map_files can't be opened; it isn't tried again */
};

struct module_cache *module_cache_new(void)
{
        return calloc(1, sizeof(struct module_cache));
}

struct module_cache *module_cache_free(struct module_cache *cache)
{
        if (cache) {
                free(cache->entries);
                free(cache);
        }
        return NULL;
}

static size_t hash_inode(uint32_t major, uint32_t minor, uint64_t inode)
{
        uint64_t key = inode ^ ((uint64_t)major << 52) ^ ((uint64_t)minor << 40);

        return (size_t)((key * 0x9e3779b97f4a7c15u) >> 20);
}

/* The entry of that inode, or the free one where it belongs. */
static struct cache_entry *cache_slot(struct cache_entry *entries, size_t capacity,
                                      uint32_t major, uint32_t minor, uint64_t inode)
{
        size_t i = hash_inode(major, minor, inode) & (capacity - 1);

        while (entries[i].inode != 0 &&
               (entries[i].inode != inode || entries[i].device_major != major ||
                entries[i].device_minor != minor))
                i = (i + 1) & (capacity - 1);
        return &entries[i];
}

static bool cache_grow(struct module_cache *cache)
{
        size_t capacity = cache->capacity ? 2 * cache->capacity : 256;
        struct cache_entry *entries;

        if (2 * (cache->n_entries + 1) <= cache->capacity)
                return true;
        entries = calloc(capacity, sizeof(*entries));
        if (!entries)
                return false;
        for (size_t i = 0; i < cache->capacity; i++) {
                const struct cache_entry *old = &cache->entries[i];

                if (old->inode != 0)
                        *cache_slot(entries, capacity, old->device_major, old->device_minor,
                                    old->inode) = *old;
        }
        free(cache->entries);
        cache->entries = entries;
        cache->capacity = capacity;
        return true;
}

/* A file seen as the memory that its mapping at `start` would show, had nobody changed it. */
struct mapped_file {
        int fd;
        uint64_t start, size;
};

static int mapped_file_read(void *context, uint64_t address, void *ret, size_t size)
{
        const struct mapped_file *file = context;
        ssize_t n;

        if (address < file->start || address - file->start > file->size ||
            size > file->size - (address - file->start))
                return -EFAULT;
        do
                n = pread(file->fd, ret, size, (off_t)(address - file->start));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EFAULT;
}

/* The build ID by the file of `region`; false if the file can't be had or doesn't tell. */
static bool read_from_file(pid_t pid, const struct region *region, struct module_cache *cache,
                           int *ret_outcome, struct build_id *ret)
{
        struct mapped_file file = { .start = region->start, .size = region->end - region->start };
        struct elf_memory memory = { .read = mapped_file_read, .context = &file };
        _cleanup_close_ int fd = -1;
        char path[80];

        snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid,
                 (unsigned long long)region->start, (unsigned long long)region->end);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
                if (errno == EPERM || errno == EACCES)
                        cache->unprivileged = true;
                return false;
        }
        file.fd = fd;
        *ret_outcome = elf_image_read_build_id(&memory, region->start, ret);
        return *ret_outcome == 0 || *ret_outcome == ELF_IMAGE_NOT_ELF ||
               *ret_outcome == ELF_IMAGE_OTHER_CLASS;
}

static bool cacheable(const struct module_cache *cache, const struct region *region)
{
        return cache && !cache->unprivileged && region->device_major != 0 && region->inode != 0 &&
               region->offset == 0;
}

/* Outcomes as elf_image_read_build_id(). */
static int read_build_id(pid_t pid, const struct region *region, struct module_cache *cache,
                         struct build_id *ret)
{
        struct elf_memory memory = PROCESS_MEMORY(pid);
        struct cache_entry *entry, found = {
                .device_major = region->device_major,
                .device_minor = region->device_minor,
                .inode = region->inode,
        };

        if (!cacheable(cache, region) || !cache_grow(cache))
                return elf_image_read_build_id(&memory, region->start, ret);
        entry = cache_slot(cache->entries, cache->capacity, region->device_major,
                           region->device_minor, region->inode);
        if (entry->inode == 0) {
                if (!read_from_file(pid, region, cache, &found.outcome, &found.build_id))
                        return elf_image_read_build_id(&memory, region->start, ret);
                *entry = found;
                cache->n_entries++;
        }
        if (entry->outcome == 0)
                *ret = entry->build_id;
        return entry->outcome;
}

/* One walk over the regions of a process. */
struct walk {
        pid_t pid;
        const struct maps *maps;
        struct module_cache *cache;
        struct modules *modules;
        bool unclaimed;      /* some executable region has no header by the maps alone */
};

static bool same_file(const struct region *a, const struct region *b)
{
        return a->inode == b->inode && a->device_minor == b->device_minor &&
               a->device_major == b->device_major;
}

/* What the kernel maps by itself: [vdso], [vvar], [vsyscall], [stack], [heap], [uprobes]. */
static bool is_special(const struct region *region)
{
        return region->path[0] == '[' && strncmp(region->path, "[anon", 5) != 0;
}

static bool already_found(const struct walk *walk, uint64_t address)
{
        for (size_t i = walk->modules->n_items; i > 0; i--)
                if (walk->modules->items[i - 1].address == address)
                        return true;
        return false;
}

static int add_module(struct walk *walk, const struct region *header,
                      const struct build_id *build_id, struct error *err)
{
        struct module *module = ARRAY_PUSH(walk->modules->items, walk->modules->n_items);

        if (!module)
                return error_no_memory(err);
        *module = (struct module){
                .address = header->start,
                .build_id = *build_id,
                .path = header->inode ? header->path : "",
                .deleted = header->deleted,
                .device_major = header->device_major,
                .device_minor = header->device_minor,
                .inode = header->inode,
        };
        return 0;
}

/* 0: go on with the next region. MAPS_GONE or negative: the whole walk ends. */
static int settle_read_outcome(const struct walk *walk, int r, struct error *err)
{
        if (r == -ESRCH)
                return MAPS_GONE;
        if (r == -EPERM || r == -EACCES)
                return error_set(err, EXIT_CODE_PERMISSION, -r,
                                 geteuid() ? "run suture as root"
                                           : "it is protected from root, too",
                                 "can't read the memory of process %d", (int)walk->pid);
        return 0; /* not an ELF image, or unmapped meanwhile */
}

/*
 * The header of an executable file mapping, if there is just one mapping it can be; `*ret_many`
 * if there are more.
 */
static const struct region *header_by_maps(const struct maps *maps, const struct region *text,
                                           bool *ret_many)
{
        const struct region *header = NULL;

        *ret_many = false;
        for (const struct region *region = text; region >= maps->items; region--) {
                if (region->inode == 0 || region->offset != 0 || !same_file(region, text))
                        continue;
                *ret_many = header != NULL;
                if (header)
                        break;
                header = region;
        }
        return header;
}

static int visit_executable(struct walk *walk, const struct region *text, struct error *err)
{
        const struct region *header;
        struct build_id build_id;
        bool many;
        int r;

        header = text->inode != 0 ? header_by_maps(walk->maps, text, &many) : NULL;
        if (!header || many || !header->readable) {
                walk->unclaimed = true;
                return 0;
        }
        if (already_found(walk, header->start))
                return 0;
        r = read_build_id(walk->pid, header, walk->cache, &build_id);
        if (r == 0)
                return add_module(walk, header, &build_id, err);
        walk->unclaimed = true;
        return settle_read_outcome(walk, r, err);
}

/* True if an executable segment of the image is where the process maps something executable. */
static bool executes(const struct walk *walk, const struct elf_image *image,
                     const struct region *header)
{
        for (size_t i = 0; i < image->n_segments; i++) {
                const Elf64_Phdr *segment = &image->segments[i];
                uint64_t start = ROUND_DOWN(image->bias + segment->p_vaddr, 4096);
                const struct region *region;

                if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
                        continue;
                region = maps_find(walk->maps, start);
                if (!region || !region->executable || is_special(region))
                        continue;
                /* A file's own text must also be the right part of the file. */
                if (region->inode == 0 || !same_file(region, header) ||
                    region->offset + (start - region->start) ==
                            ROUND_DOWN(segment->p_offset, 4096))
                        return true;
        }
        return false;
}

static bool is_candidate(const struct region *region)
{
        if (!region->readable || is_special(region))
                return false;
        if (region->inode != 0)
                return region->offset == 0;
        return region->executable || !region->writable;
}

static int visit_candidate(struct walk *walk, const struct region *region, struct error *err)
{
        struct elf_memory memory = PROCESS_MEMORY(walk->pid);
        struct elf_image image;
        int r;

        if (!is_candidate(region) || already_found(walk, region->start))
                return 0;
        r = elf_image_read(&memory, region->start, &image);
        if (r != 0)
                return settle_read_outcome(walk, r, err);
        return executes(walk, &image, region) ? add_module(walk, region, &image.build_id, err) : 0;
}

static int compare_modules(const void *a, const void *b)
{
        const struct module *left = a, *right = b;

        return left->address < right->address ? -1 : left->address > right->address;
}

static int walk_regions(struct walk *walk, struct error *err)
{
        const struct maps *maps = walk->maps;
        int r = 0;

        for (size_t i = 0; i < maps->n_items && r == 0; i++)
                if (maps->items[i].executable && !is_special(&maps->items[i]))
                        r = visit_executable(walk, &maps->items[i], err);
        for (size_t i = 0; i < maps->n_items && r == 0 && walk->unclaimed; i++)
                r = visit_candidate(walk, &maps->items[i], err);
        if (r == 0 && walk->unclaimed && walk->modules->n_items > 1)
                qsort(walk->modules->items, walk->modules->n_items, sizeof(struct module),
                      compare_modules);
        return r;
}

int modules_read(pid_t pid, const struct maps *maps, struct module_cache *cache,
                 struct modules *ret, struct error *err)
{
        _cleanup_(modules_done) struct modules modules = { 0 };
        struct walk walk = { .pid = pid, .maps = maps, .cache = cache, .modules = &modules };
        int r;

        r = walk_regions(&walk, err);
        if (r != 0)
                return r;
        *ret = modules;
        modules = (struct modules){ 0 };
        return 0;
}

void modules_done(struct modules *modules)
{
        free(modules->items);
        *modules = (struct modules){ 0 };
}
