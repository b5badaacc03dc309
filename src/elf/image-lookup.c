/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Symbols of a mapped module, found as the dynamic linker finds them: by the GNU hash table
 * (a Bloom filter, buckets, and chains of hashes that end at an odd one), or by the older SysV
 * one (gABI, "Hash Table"); then name, version and kind are compared by the rules of glibc's
 * check_match() (elf/dl-lookup.c). A foreign process may hold anything in these tables, so chains
 * are cut at a length no real one has.
 */
#include "elf/image.h"

#include <errno.h>
#include <string.h>

#include "elf/image-window.h"

#define MAX_CHAIN 4096u
#define MAX_VERSIONS 4096u      /* in one module; libc.so.6 has some 50 */
#define MAX_NAME 4096u
#define VERSION_INDEX 0x7fffu   /* the rest of a DT_VERSYM entry is VERSYM_HIDDEN */
#define VERSION_HIDDEN 0x8000u

/* One lookup under way. */
struct lookup {
        const struct elf_image *image;
        const char *name, *version;
        size_t name_size;               /* with the NUL */
        struct image_window chain;      /* hash table */
        struct image_window symbols, strings, versions;
        struct image_window needs, definitions;
        size_t n_default;               /* default versions met; `fallback` is the first */
        struct elf_image_symbol fallback;
};

static void lookup_init(struct lookup *lookup, const struct elf_memory *memory,
                        const struct elf_image *image, const char *name, const char *version)
{
        memset(lookup, 0, sizeof(*lookup));
        lookup->image = image;
        lookup->name = name;
        lookup->version = version;
        lookup->name_size = strlen(name) + 1;
        image_window_init(&lookup->chain, memory, image, UINT64_MAX, 256);
        image_window_init(&lookup->symbols, memory, image, UINT64_MAX, sizeof(Elf64_Sym));
        image_window_init(&lookup->strings, memory, image, UINT64_MAX, MAX_NAME);
        image_window_init(&lookup->versions, memory, image, UINT64_MAX, 64);
        image_window_init(&lookup->needs, memory, image, image->version_needs, 4096);
        image_window_init(&lookup->definitions, memory, image, image->version_definitions, 4096);
}

static void lookup_done(struct lookup *lookup)
{
        image_window_done(&lookup->chain);
        image_window_done(&lookup->symbols);
        image_window_done(&lookup->strings);
        image_window_done(&lookup->versions);
        image_window_done(&lookup->needs);
        image_window_done(&lookup->definitions);
}

/* 1 if the string at `offset` of the string table is `text`, 0 if not. */
static int string_equals(struct lookup *lookup, uint64_t offset, const char *text, size_t size)
{
        const struct elf_image *image = lookup->image;
        const uint8_t *bytes;
        int r;

        if (offset >= image->strings_size || size > image->strings_size - offset)
                return 0;
        r = image_window_get(&lookup->strings, image->strings + offset, size, &bytes);
        if (r < 0)
                return r;
        return memcmp(bytes, text, size) == 0;
}

/* 1 if definition `index` is there under this version name, 0 if the index has another or none. */
static int definition_is(struct lookup *lookup, uint16_t index, bool *ret_known)
{
        uint64_t address = lookup->image->version_definitions;
        uint64_t n = MIN(lookup->image->n_version_definitions, MAX_VERSIONS);

        for (uint64_t i = 0; address != 0 && i < n; i++) {
                Elf64_Verdef definition;
                Elf64_Verdaux names;
                int r = image_window_copy(&lookup->definitions, address, 0, sizeof(definition),
                                  &definition);

                if (r < 0)
                        return r;
                if ((definition.vd_ndx & VERSION_INDEX) == index &&
                    !(definition.vd_flags & VER_FLG_BASE)) {
                        r = image_window_copy(&lookup->definitions, address + definition.vd_aux, 0,
                                      sizeof(names), &names);
                        if (r < 0)
                                return r;
                        *ret_known = true;
                        return string_equals(lookup, names.vda_name, lookup->version,
                                             strlen(lookup->version) + 1);
                }
                address = definition.vd_next ? address + definition.vd_next : 0;
        }
        return 0;
}

/* The same among the versions that are needed from elsewhere. */
static int need_is(struct lookup *lookup, uint16_t index, bool *ret_known)
{
        uint64_t file = lookup->image->version_needs, address;
        uint64_t n = MIN(lookup->image->n_version_needs, MAX_VERSIONS), left = MAX_VERSIONS;

        for (uint64_t i = 0; file != 0 && i < n; i++) {
                Elf64_Verneed need;
                Elf64_Vernaux name;
                int r = image_window_copy(&lookup->needs, file, 0, sizeof(need), &need);

                if (r < 0)
                        return r;
                address = need.vn_aux ? file + need.vn_aux : 0;
                for (uint16_t j = 0; address != 0 && j < need.vn_cnt && left > 0; j++, left--) {
                        r = image_window_copy(&lookup->needs, address, 0, sizeof(name), &name);
                        if (r < 0)
                                return r;
                        if ((name.vna_other & VERSION_INDEX) == index) {
                                *ret_known = true;
                                return string_equals(lookup, name.vna_name, lookup->version,
                                                     strlen(lookup->version) + 1);
                        }
                        address = name.vna_next ? address + name.vna_next : 0;
                }
                file = need.vn_next ? file + need.vn_next : 0;
        }
        return 0;
}

/* 1 if version index `index` is the wanted version, or has no name and is not hidden. */
static int version_matches(struct lookup *lookup, uint16_t entry)
{
        uint16_t index = entry & VERSION_INDEX;
        bool known = false;
        int r;

        r = definition_is(lookup, index, &known);
        if (r == 0 && !known)
                r = need_is(lookup, index, &known);
        if (r != 0)
                return r;
        return !known && !(entry & VERSION_HIDDEN);
}

static bool symbol_counts(const Elf64_Sym *symbol)
{
        uint8_t type = ELF64_ST_TYPE(symbol->st_info), bind = ELF64_ST_BIND(symbol->st_info);
        uint8_t visibility = ELF64_ST_VISIBILITY(symbol->st_other);

        if (symbol->st_value == 0 && symbol->st_shndx != SHN_ABS && type != STT_TLS)
                return false;
        if (visibility == STV_HIDDEN || visibility == STV_INTERNAL)
                return false;
        if (bind != STB_GLOBAL && bind != STB_WEAK && bind != STB_GNU_UNIQUE)
                return false;
        return type == STT_NOTYPE || type == STT_OBJECT || type == STT_FUNC ||
               type == STT_COMMON || type == STT_TLS || type == STT_GNU_IFUNC;
}

static struct elf_image_symbol symbol_result(const struct elf_image *image, const Elf64_Sym *symbol,
                                             uint16_t version)
{
        return (struct elf_image_symbol){
                .address = symbol->st_value + (symbol->st_shndx == SHN_ABS ? 0 : image->bias),
                .size = symbol->st_size,
                .bind = ELF64_ST_BIND(symbol->st_info),
                .type = ELF64_ST_TYPE(symbol->st_info),
                .visibility = ELF64_ST_VISIBILITY(symbol->st_other),
                .section = symbol->st_shndx,
                .hidden_version = (version & VERSION_HIDDEN) != 0,
        };
}

/* 1 and `ret` if symbol `index` is the one, 0 if not (it may have become the fallback). */
static int check_match(struct lookup *lookup, uint64_t index, struct elf_image_symbol *ret)
{
        const struct elf_image *image = lookup->image;
        uint16_t version = 0;
        Elf64_Sym symbol;
        int r;

        r = image_window_copy(&lookup->symbols, image->symbols, index, sizeof(symbol), &symbol);
        if (r < 0)
                return r;
        if (!symbol_counts(&symbol))
                return 0;
        r = string_equals(lookup, symbol.st_name, lookup->name, lookup->name_size);
        if (r <= 0)
                return r;
        if (image->versions != 0) {
                r = image_window_copy(&lookup->versions, image->versions, index, sizeof(version),
                                      &version);
                if (r < 0)
                        return r;
        }
        if (image->versions != 0 && lookup->version) {
                r = version_matches(lookup, version);
                if (r <= 0)
                        return r;
        }
        if (!lookup->version && (version & VERSION_INDEX) > VER_NDX_GLOBAL) {
                if (!(version & VERSION_HIDDEN) && lookup->n_default++ == 0)
                        lookup->fallback = symbol_result(image, &symbol, version);
                return 0;
        }
        *ret = symbol_result(image, &symbol, version);
        return 1;
}

static uint32_t hash_gnu(const char *name)
{
        uint32_t hash = 5381;

        for (; *name; name++)
                hash = hash * 33 + (uint8_t)*name;
        return hash;
}

static uint32_t hash_sysv(const char *name)
{
        uint32_t hash = 0;

        for (; *name; name++) {
                uint32_t high;

                hash = (hash << 4) + (uint8_t)*name;
                high = hash & 0xf0000000;
                hash ^= high >> 24;
                hash &= ~high;
        }
        return hash;
}

struct gnu_hash {
        uint32_t n_buckets, first_symbol, n_bloom, bloom_shift;
};

static int gnu_read(struct lookup *lookup, struct gnu_hash *ret)
{
        int r = image_window_copy(&lookup->chain, lookup->image->gnu_hash, 0, sizeof(*ret), ret);

        if (r < 0)
                return r;
        if (ret->n_bloom == 0 || (ret->n_bloom & (ret->n_bloom - 1)) != 0 || ret->bloom_shift > 31)
                return -EBADMSG;
        return 0;
}

static int lookup_gnu(struct lookup *lookup, struct elf_image_symbol *ret)
{
        uint64_t bloom = lookup->image->gnu_hash + sizeof(struct gnu_hash), buckets, chains, word;
        uint32_t hash = hash_gnu(lookup->name), index, chained;
        struct gnu_hash table;
        int r;

        r = gnu_read(lookup, &table);
        if (r < 0)
                return r;
        if (table.n_buckets == 0)
                return 0;
        r = image_window_copy(&lookup->chain, bloom, (hash / 64) & (table.n_bloom - 1), 8, &word);
        if (r < 0)
                return r;
        if (!(word >> (hash % 64) & 1) || !(word >> ((hash >> table.bloom_shift) % 64) & 1))
                return 0;
        buckets = bloom + UINT64_C(8) * table.n_bloom;
        chains = buckets + UINT64_C(4) * table.n_buckets;
        r = image_window_copy(&lookup->chain, buckets, hash % table.n_buckets, 4, &index);
        if (r < 0 || index == 0)
                return r;
        if (index < table.first_symbol)
                return -EBADMSG;
        for (uint32_t step = 0; step < MAX_CHAIN && index + step >= index; step++) {
                r = image_window_copy(&lookup->chain, chains, index + step - table.first_symbol, 4,
                              &chained);
                if (r < 0)
                        return r;
                if ((chained | 1) == (hash | 1)) {
                        r = check_match(lookup, index + step, ret);
                        if (r != 0)
                                return r;
                }
                if (chained & 1)
                        return 0;
        }
        return -EBADMSG;
}

static int lookup_sysv(struct lookup *lookup, struct elf_image_symbol *ret)
{
        uint64_t table = lookup->image->sysv_hash;
        uint32_t counts[2], index; /* nbucket, nchain */
        int r;

        r = image_window_copy(&lookup->chain, table, 0, sizeof(counts), counts);
        if (r < 0)
                return r;
        if (counts[0] == 0)
                return 0;
        r = image_window_copy(&lookup->chain, table, 2 + hash_sysv(lookup->name) % counts[0], 4,
                              &index);
        if (r < 0)
                return r;
        for (uint32_t step = 0; index != STN_UNDEF; step++) {
                if (step >= MAX_CHAIN || index >= counts[1])
                        return -EBADMSG;
                r = check_match(lookup, index, ret);
                if (r != 0)
                        return r;
                r = image_window_copy(&lookup->chain, table, UINT64_C(2) + counts[0] + index, 4,
                                      &index);
                if (r < 0)
                        return r;
        }
        return 0;
}

int elf_image_lookup(const struct elf_memory *memory, const struct elf_image *image,
                     const char *name, const char *version, struct elf_image_symbol *ret)
{
        _cleanup_(lookup_done) struct lookup lookup;
        int r = 0;

        lookup_init(&lookup, memory, image, name, version);
        if (lookup.name_size > MAX_NAME || (version && strlen(version) >= MAX_NAME))
                return 1;
        if (image->gnu_hash)
                r = lookup_gnu(&lookup, ret);
        else if (image->sysv_hash)
                r = lookup_sysv(&lookup, ret);
        if (r < 0)
                return r;
        if (r == 1)
                return 0;
        if (lookup.n_default != 1)
                return 1;
        *ret = lookup.fallback;
        return 0;
}
