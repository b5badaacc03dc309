/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A patch is two files, and a change of both can't be one rename. So the state file is written
 * first and names both contents, the one that is there and the one that is to come; then the patch
 * file is replaced; then the state file forgets the old. Whatever point a change is cut off at,
 * the digest of the patch file tells which of the two it is, and each single write is atomic.
 * A removal is decided by one write of the state file ("removing"); what follows is cleaning up.
 *
 * After a change, done or failed, the entry is read back from disk: what is in memory is what a
 * restart would find.
 */
#include "daemon/patch-store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include "base/array.h"
#include "daemon/durable.h"
#include "daemon/patch-state.h"

#define LOCK_NAME ".lock"
#define FOLDER_MODE 0755
#define FILE_MODE 0644
#define ID_MAX 48
#define NAME_SIZE 80 /* of a patch's two files */
#define READ_ATTEMPTS 8

/* What the two files of a patch amount to. */
enum found {
        FOUND_NOTHING,     /* removed, or an addition that never came to be */
        FOUND_CURRENT,
        FOUND_NEXT,
        FOUND_MISSING,     /* the state file speaks of a patch file that is gone */
        FOUND_OTHER,       /* the patch file is not one that the state file knows */
};

static struct patch_store_entry *entry_free(struct patch_store_entry *entry)
{
        if (entry) {
                patch_free(entry->patch);
                free(entry->reason);
                free(entry->by);
                free(entry);
        }
        return NULL;
}
DEFINE_CLEANUP(struct patch_store_entry *, entry_free)

struct patch_store *patch_store_close(struct patch_store *store)
{
        if (!store)
                return NULL;
        for (size_t i = 0; i < store->n_entries; i++)
                entry_free(store->entries[i]);
        for (size_t i = 0; i < store->n_faults; i++) {
                free(store->faults[i].file);
                free(store->faults[i].what);
        }
        free(store->entries);
        free(store->faults);
        cleanup_close(&store->folder);
        cleanup_close(&store->lock);
        free(store);
        return NULL;
}

static void file_name(const char *id, const char *suffix, char ret[static NAME_SIZE])
{
        snprintf(ret, NAME_SIZE, "%s%s", id, suffix);
}

_printf_(4, 5)
static int add_fault(struct patch_store *store, const char *file, struct error *err,
                     const char *format, ...)
{
        struct patch_store_fault *fault = ARRAY_PUSH(store->faults, store->n_faults);
        va_list args;
        int n;

        if (!fault)
                return error_no_memory(err);
        fault->file = strdup(file);
        va_start(args, format);
        n = vasprintf(&fault->what, format, args);
        va_end(args);
        if (n < 0)
                fault->what = NULL;
        return fault->file && fault->what ? 0 : error_no_memory(err);
}

static void forget_faults(struct patch_store *store, const char *file)
{
        for (size_t i = 0; i < store->n_faults;) {
                struct patch_store_fault *fault = &store->faults[i];

                if (strcmp(fault->file, file) != 0) {
                        i++;
                        continue;
                }
                free(fault->file);
                free(fault->what);
                *fault = store->faults[--store->n_faults];
                store->faults[store->n_faults] = (struct patch_store_fault){ 0 };
        }
}

/* The name without its suffix, if it is that of a patch id. */
static bool id_of(const char *name, const char *suffix, char ret[static ID_MAX + 1])
{
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789._-";
        size_t size = strlen(name), tail = strlen(suffix);

        if (size <= tail || size - tail > ID_MAX || strcmp(name + size - tail, suffix) != 0)
                return false;
        memcpy(ret, name, size - tail);
        ret[size - tail] = '\0';
        return strspn(ret, allowed) == size - tail && !strchr("._-", ret[0]);
}

static enum found find_version(const struct patch_state_file *state, bool there,
                               const struct sha256 *digest)
{
        if (state->removing)
                return FOUND_NOTHING;
        if (!there)
                return state->current.there ? FOUND_MISSING : FOUND_NOTHING;
        if (state->next.there && sha256_equal(digest, &state->next.digest))
                return FOUND_NEXT;
        if (state->current.there && sha256_equal(digest, &state->current.digest))
                return FOUND_CURRENT;
        return FOUND_OTHER;
}

/* Clears what a removal, or an addition that did not come to be, has left. */
static void finish_nothing(struct patch_store *store, const char *id,
                           const struct patch_state_file *state, bool there,
                           const struct sha256 *digest)
{
        char name[NAME_SIZE];
        bool own = there && ((state->current.there && sha256_equal(digest, &state->current.digest)) ||
                             (state->next.there && sha256_equal(digest, &state->next.digest)));

        file_name(id, ".spatch", name);
        if (own && durable_remove(store->folder, name, NULL) < 0)
                return;
        file_name(id, ".state", name);
        durable_remove(store->folder, name, NULL);
}

static int put_state(struct patch_store *store, const char *id,
                     const struct patch_state_file *state, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char name[NAME_SIZE];
        int r = patch_state_format(state, id, &text, err);

        file_name(id, ".state", name);
        return r < 0 ? r : durable_write(store->folder, name, text.data, text.size, FILE_MODE, err);
}

static int compare_entries(const void *a, const void *b)
{
        const struct patch_store_entry *const *left = a, *const *right = b;

        return strcmp((*left)->patch->id, (*right)->patch->id);
}

static int insert(struct patch_store *store, const struct patch_version *version,
                  struct patch *patch, struct error *err)
{
        _cleanup_(entry_freep) struct patch_store_entry *entry = calloc(1, sizeof(*entry));
        struct patch_store_entry **place;

        if (!entry) {
                patch_free(patch);
                return error_no_memory(err);
        }
        entry->patch = patch;
        entry->state = version->state;
        entry->reason = strdup(version->reason);
        entry->by = strdup(version->by);
        entry->since = version->since;
        entry->added = version->added;
        if (!entry->reason || !entry->by)
                return error_no_memory(err);
        place = ARRAY_PUSH(store->entries, store->n_entries);
        if (!place)
                return error_no_memory(err);
        *place = STEAL(entry);
        qsort(store->entries, store->n_entries, sizeof(*store->entries), compare_entries);
        return 0;
}

/* Reads ID.state. 0, -ENOENT, or another fault. */
static int read_state(struct patch_store *store, const char *id, struct patch_state_file *ret,
                      struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char name[NAME_SIZE];
        int r;

        file_name(id, ".state", name);
        r = durable_read(store->folder, name, PATCH_STATE_MAX_BYTES, &text, err);
        return r < 0 ? r : patch_state_parse(text.data, text.size, id, ret, err);
}

static int load_patch(struct patch_store *store, const char *id, const char *name,
                      const struct patch_version *version, const struct buffer *bytes,
                      struct error *err)
{
        struct patch *patch = NULL;
        struct error cause = { 0 };
        int r = patch_parse(bytes->data, bytes->size, name, &patch, &cause);

        if (r == -ENOMEM)
                return error_no_memory(err);
        if (r < 0)
                return add_fault(store, name, err, "%s", cause.cause);
        if (strcmp(patch->id, id) != 0 || patch->level != version->level) {
                patch_free(patch);
                return add_fault(store, name, err, "%s holds another patch than its name and state "
                                 "say", name);
        }
        return insert(store, version, patch, err);
}

/* The two files of a patch, as read. */
struct pair {
        char patch_name[NAME_SIZE], state_name[NAME_SIZE];
        struct patch_state_file state;
        struct buffer bytes;
        struct sha256 digest;
        bool there;
        enum found found;
};

static void pair_done(struct pair *pair)
{
        buffer_done(&pair->bytes);
}

/* 0, or a fault of one of the files, whose name goes in `ret_file`. */
static int read_pair(struct patch_store *store, const char *id, struct pair *pair,
                     const char **ret_file, struct error *err)
{
        int r;

        buffer_done(&pair->bytes);
        pair->bytes = (struct buffer){ 0 };
        *ret_file = pair->state_name;
        r = read_state(store, id, &pair->state, err);
        if (r < 0)
                return r;
        *ret_file = pair->patch_name;
        r = durable_read(store->folder, pair->patch_name, PATCH_MAX_BYTES, &pair->bytes, err);
        if (r < 0 && r != -ENOENT)
                return r;
        pair->there = r == 0;
        if (pair->there)
                pair->digest = sha256_of(pair->bytes.data, pair->bytes.size);
        pair->found = find_version(&pair->state, pair->there, &pair->digest);
        return 0;
}

/*
 * Loads the patch `id`, of which at least the state file is there. Who only reads may come in
 * the middle of a change by somebody else, and then looks again.
 */
static int load(struct patch_store *store, const char *id, struct error *err)
{
        _cleanup_(pair_done) struct pair pair = { 0 };
        struct error cause = { 0 };
        const char *file = NULL;
        int r = 0;

        file_name(id, ".spatch", pair.patch_name);
        file_name(id, ".state", pair.state_name);
        for (int attempt = 0; attempt < (store->lock < 0 ? READ_ATTEMPTS : 1); attempt++) {
                r = read_pair(store, id, &pair, &file, &cause);
                if (r == 0 && pair.found != FOUND_OTHER && pair.found != FOUND_MISSING)
                        break;
        }
        if (r == -ENOENT && store->lock < 0)
                return 0;
        if (r < 0)
                return add_fault(store, file, err, "%s", cause.cause);
        switch (pair.found) {
        case FOUND_NOTHING:
                if (store->lock >= 0)
                        finish_nothing(store, id, &pair.state, pair.there, &pair.digest);
                return 0;
        case FOUND_MISSING:
                return add_fault(store, pair.state_name, err, "%s is missing", pair.patch_name);
        case FOUND_OTHER:
                return add_fault(store, pair.patch_name, err, "%s is not the file that was added "
                                 "(its digest differs)", pair.patch_name);
        case FOUND_NEXT:
                return load_patch(store, id, pair.patch_name, &pair.state.next, &pair.bytes, err);
        case FOUND_CURRENT:
                return load_patch(store, id, pair.patch_name, &pair.state.current, &pair.bytes, err);
        }
        return 0;
}

static const struct patch_target *target_for(const struct patch_store_entry *entry,
                                             const struct build_id *build_id)
{
        return entry->state == PATCH_STATE_ENABLED ? patch_find_target(entry->patch, build_id)
                                                   : NULL;
}

static bool supersedes(const struct patch *patch, const struct patch *other)
{
        for (size_t i = 0; i < patch->n_supersedes; i++)
                if (strcmp(patch->supersedes[i], other->id) == 0)
                        return true;
        return false;
}

/* True if another enabled patch for this build contains `entry`; two that name each other don't. */
static bool is_superseded(const struct patch_store *store, const struct patch_store_entry *entry,
                          const struct build_id *build_id)
{
        for (size_t i = 0; i < store->n_entries; i++) {
                const struct patch_store_entry *other = store->entries[i];

                if (other != entry && target_for(other, build_id) &&
                    supersedes(other->patch, entry->patch) &&
                    !supersedes(entry->patch, other->patch))
                        return true;
        }
        return false;
}

/* An entry is superseded if it is so for each of its targets. */
static void mark_superseded(struct patch_store *store)
{
        for (size_t i = 0; i < store->n_entries; i++) {
                struct patch_store_entry *entry = store->entries[i];
                size_t left = 0;

                for (size_t t = 0; t < entry->patch->n_targets; t++)
                        left += !is_superseded(store, entry, &entry->patch->targets[t].build_id);
                entry->superseded = left == 0;
        }
}

static bool exists(struct patch_store *store, const char *id, const char *suffix)
{
        char name[NAME_SIZE];

        file_name(id, suffix, name);
        return faccessat(store->folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int load_name(struct patch_store *store, const char *name, struct error *err)
{
        char id[ID_MAX + 1];

        if (name[0] == '.' && (!name[1] || strcmp(name, "..") == 0 || strcmp(name, LOCK_NAME) == 0 ||
                               strncmp(name, DURABLE_TEMPORARY, strlen(DURABLE_TEMPORARY)) == 0))
                return 0;
        if (id_of(name, ".state", id))
                return load(store, id, err);
        if (!id_of(name, ".spatch", id))
                return add_fault(store, name, err, "%s does not belong here", name);
        if (exists(store, id, ".state") || !exists(store, id, ".spatch"))
                return 0;
        return add_fault(store, name, err, "%s was not added by suture: add it with suture apply",
                         name);
}

static int load_all(struct patch_store *store, struct error *err)
{
        int copy = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
        struct dirent *entry;

        if (!directory) {
                r = error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't list the patch store");
                cleanup_close(&copy);
                return r;
        }
        while (r == 0 && (entry = readdir(directory)))
                r = load_name(store, entry->d_name, err);
        closedir(directory);
        if (r == 0)
                mark_superseded(store);
        return r;
}

static int lock(struct patch_store *store, struct error *err)
{
        store->lock = openat(store->folder, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                             0600);
        if (store->lock < 0)
                return error_set(err, errno == EACCES ? EXIT_CODE_PERMISSION : EXIT_CODE_ERROR,
                                 errno, NULL, "can't lock the patch store");
        if (flock(store->lock, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK
                               ? error_set(err, EXIT_CODE_ERROR, EBUSY, "let sutured make the change",
                                           "another program has the patch store")
                               : error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                           "can't lock the patch store");
        durable_clean(store->folder);
        return 0;
}

int patch_store_open(const char *path, bool writable, struct patch_store **ret, struct error *err)
{
        _cleanup_(patch_store_closep) struct patch_store *store = calloc(1, sizeof(*store));
        int r;

        if (!store)
                return error_no_memory(err);
        store->folder = store->lock = -1;
        r = durable_open_folder(path, writable, FOLDER_MODE, &store->folder, err);
        if (r == -ENOENT && !writable) {
                *ret = STEAL(store);
                return 0;
        }
        if (r == 0 && writable)
                r = lock(store, err);
        if (r == 0)
                r = load_all(store, err);
        if (r < 0) {
                error_prefix(err, "patch store %s", path);
                return r;
        }
        *ret = STEAL(store);
        return 0;
}

struct patch_store_entry *patch_store_find(const struct patch_store *store, const char *id)
{
        for (size_t i = 0; i < store->n_entries; i++)
                if (strcmp(store->entries[i]->patch->id, id) == 0)
                        return store->entries[i];
        return NULL;
}

static int check_writable(const struct patch_store *store, struct error *err)
{
        if (store->lock < 0)
                return error_set(err, EXIT_CODE_ERROR, EROFS, NULL,
                                 "the patch store was opened for reading");
        return 0;
}

/* Puts what is on disk now in the place of the entry in memory. */
static int reload(struct patch_store *store, const char *id, struct error *err)
{
        char name[NAME_SIZE];
        int r = 0;

        for (size_t i = 0; i < store->n_entries; i++)
                if (strcmp(store->entries[i]->patch->id, id) == 0) {
                        struct patch_store_entry *old = store->entries[i];

                        memmove(&store->entries[i], &store->entries[i + 1],
                                (--store->n_entries - i) * sizeof(*store->entries));
                        entry_free(old);
                        break;
                }
        file_name(id, ".spatch", name);
        forget_faults(store, name);
        file_name(id, ".state", name);
        forget_faults(store, name);
        if (exists(store, id, ".state"))
                r = load(store, id, err);
        if (r == 0)
                mark_superseded(store);
        return r;
}

static int set_text(char ret[static PATCH_STATE_TEXT_SIZE], const char *text, struct error *err)
{
        int n = snprintf(ret, PATCH_STATE_TEXT_SIZE, "%s", text ? text : "");

        if (n >= PATCH_STATE_TEXT_SIZE)
                return error_set(err, EXIT_CODE_USAGE, 0, NULL, "the reason is longer than %d bytes",
                                 PATCH_STATE_TEXT_SIZE - 1);
        return 0;
}

static void version_of(const struct patch_store_entry *entry, struct patch_version *ret)
{
        *ret = (struct patch_version){
                .there = true, .level = entry->patch->level, .digest = entry->patch->digest,
                .state = entry->state, .since = entry->since, .added = entry->added,
        };
        snprintf(ret->reason, sizeof(ret->reason), "%s", entry->reason);
        snprintf(ret->by, sizeof(ret->by), "%s", entry->by);
}

static int write_addition(struct patch_store *store, const struct patch *patch,
                          struct patch_state_file *state, struct error *err)
{
        char name[NAME_SIZE];
        int r = put_state(store, patch->id, state, err);

        if (r < 0)
                return r;
        file_name(patch->id, ".spatch", name);
        r = durable_write(store->folder, name, patch->bytes.data, patch->bytes.size, FILE_MODE, err);
        if (r < 0)
                return r;
        state->current = state->next;
        state->next = (struct patch_version){ 0 };
        return put_state(store, patch->id, state, err);
}

/* 0 if `patch` may be put in, or an outcome. */
static int judge_addition(struct patch_store *store, const struct patch *patch, bool force,
                          struct error *err)
{
        const struct patch_store_entry *old = patch_store_find(store, patch->id);

        if (!old && !force && exists(store, patch->id, ".spatch"))
                return error_set(err, EXIT_CODE_ERROR, EEXIST, "move the file away, or force it",
                                 "%s.spatch in the patch store is damaged or was not added by suture",
                                 patch->id);
        if (!old)
                return 0;
        if (old->patch->level == patch->level && sha256_equal(&old->patch->digest, &patch->digest))
                return PATCH_STORE_UNCHANGED;
        if (force || patch->level > old->patch->level)
                return 0;
        return patch->level < old->patch->level ? PATCH_STORE_OLDER : PATCH_STORE_DIFFERENT;
}

/* Both `r` and the state in memory count: the first fault is what the caller hears of. */
static int settle(struct patch_store *store, const char *id, int r, struct error *err)
{
        int loaded = reload(store, id, r < 0 ? NULL : err);

        return r < 0 ? r : loaded;
}

int patch_store_add(struct patch_store *store, const void *data, size_t size, bool force,
                    const char *by, struct error *err)
{
        _cleanup_(patch_freep) struct patch *patch = NULL;
        const struct patch_store_entry *old;
        struct patch_state_file state = { 0 };
        int r = check_writable(store, err);

        if (r == 0)
                r = patch_parse(data, size, "the patch", &patch, err);
        if (r == 0)
                r = judge_addition(store, patch, force, err);
        if (r != 0)
                return r;
        old = patch_store_find(store, patch->id);
        if (old)
                version_of(old, &state.current);
        state.next = (struct patch_version){
                .there = true, .level = patch->level, .digest = patch->digest,
                .since = (uint64_t)time(NULL), .added = (uint64_t)time(NULL),
        };
        r = set_text(state.next.by, by, err);
        if (r < 0)
                return r;
        if (old && old->state == PATCH_STATE_HELD) {
                state.next.state = PATCH_STATE_HELD;
                state.next.since = old->since;
                memcpy(state.next.reason, state.current.reason, sizeof(state.next.reason));
                memcpy(state.next.by, state.current.by, sizeof(state.next.by));
        }
        r = write_addition(store, patch, &state, err);
        return settle(store, patch->id, r, err);
}

int patch_store_remove(struct patch_store *store, const char *id, struct error *err)
{
        const struct patch_store_entry *entry = patch_store_find(store, id);
        struct patch_state_file state = { .removing = true };
        char copy[ID_MAX + 1];
        int r = check_writable(store, err);

        if (r < 0)
                return r;
        if (!entry)
                return PATCH_STORE_NOT_FOUND;
        snprintf(copy, sizeof(copy), "%s", entry->patch->id);
        version_of(entry, &state.current);
        r = put_state(store, copy, &state, err);
        return settle(store, copy, r, err);
}

int patch_store_set_state(struct patch_store *store, const char *id, enum patch_state wanted,
                          const char *reason, const char *by, struct error *err)
{
        const struct patch_store_entry *entry = patch_store_find(store, id);
        struct patch_state_file state = { 0 };
        char copy[ID_MAX + 1];
        int r = check_writable(store, err);

        if (r < 0)
                return r;
        if (!entry)
                return PATCH_STORE_NOT_FOUND;
        if (entry->state == wanted && strcmp(entry->reason, reason ? reason : "") == 0)
                return PATCH_STORE_UNCHANGED;
        snprintf(copy, sizeof(copy), "%s", entry->patch->id);
        version_of(entry, &state.current);
        state.current.state = wanted;
        state.current.since = (uint64_t)time(NULL);
        r = set_text(state.current.reason, reason, err);
        if (r == 0)
                r = set_text(state.current.by, by, err);
        if (r == 0)
                r = put_state(store, copy, &state, err);
        return settle(store, copy, r, err);
}
