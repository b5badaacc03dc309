/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modules of this very process, which maps a library in every way that is known to occur. */
#include "proc/module.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/file.h"
#include "elf/view.h"
#include "proc/process.h"

#define LIBRARY "libnss_compat.so.2" /* of libc6; nothing links with it */

struct scene {
        struct maps maps;
        struct modules modules;
};

static void look_with(struct scene *scene, pid_t pid, struct module_cache *cache)
{
        memset(scene, 0, sizeof(*scene));
        assert_int_equal(maps_read(pid, &scene->maps, NULL), 0);
        assert_int_equal(modules_read(pid, &scene->maps, cache, &scene->modules, NULL), 0);
        for (size_t i = 1; i < scene->modules.n_items; i++)
                assert_true(scene->modules.items[i - 1].address < scene->modules.items[i].address);
}

static void look(struct scene *scene)
{
        look_with(scene, getpid(), NULL);
}

static void scene_done(struct scene *scene)
{
        modules_done(&scene->modules);
        maps_done(&scene->maps);
}

static const struct module *module_at(const struct scene *scene, const void *address)
{
        for (size_t i = 0; i < scene->modules.n_items; i++)
                if (scene->modules.items[i].address == (uintptr_t)address)
                        return &scene->modules.items[i];
        return NULL;
}

static size_t count_build_id(const struct scene *scene, const struct build_id *id)
{
        size_t n = 0;

        for (size_t i = 0; i < scene->modules.n_items; i++)
                n += build_id_equal(&scene->modules.items[i].build_id, id);
        return n;
}

static struct build_id build_id_of_file(const char *path)
{
        struct buffer file = { 0 };
        struct build_id id = { 0 };
        struct elf_view view;

        assert_int_equal(file_read(path, 64u << 20, &file, NULL), 0);
        assert_int_equal(elf_view_open(file.data, file.size, path, &view, NULL), 0);
        assert_true(elf_view_build_id(&view, &id));
        buffer_done(&file);
        return id;
}

static Dl_info library_info(void *handle)
{
        void *symbol = dlsym(handle, "_nss_compat_getpwent_r");
        Dl_info info;

        assert_non_null(symbol);
        assert_int_not_equal(dladdr(symbol, &info), 0);
        return info;
}

/* A copy of the library below /tmp, so that it may be deleted or mapped with no other near. */
static void copy_library(char path[static 64])
{
        void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        struct buffer file = { 0 };

        assert_non_null(handle);
        assert_int_equal(file_read(library_info(handle).dli_fname, 64u << 20, &file, NULL), 0);
        snprintf(path, 64, "/tmp/suture-test-module-%d.so", (int)getpid());
        assert_int_equal(file_write_atomic(path, file.data, file.size, 0755, NULL), 0);
        buffer_done(&file);
        dlclose(handle);
}

static void test_usual(void **state)
{
        void *handle = dlopen(LIBRARY, RTLD_NOW);
        struct build_id id, own = build_id_of_file("/proc/self/exe");
        const struct module *module;
        struct scene scene;
        Dl_info info;

        (void)state;
        assert_non_null(handle);
        info = library_info(handle);
        id = build_id_of_file(info.dli_fname);
        look(&scene);
        module = module_at(&scene, info.dli_fbase);
        assert_non_null(module);
        assert_true(build_id_equal(&module->build_id, &id));
        assert_non_null(strstr(module->path, LIBRARY));
        assert_false(module->deleted);
        assert_int_equal(count_build_id(&scene, &own), 1);
        assert_true(scene.modules.n_items >= 4); /* program, libc, dynamic linker, library */
        for (size_t i = 0; i < scene.modules.n_items; i++)
                assert_null(strstr(scene.modules.items[i].path, "[v"));
        scene_done(&scene);
        dlclose(handle);
}

static void test_deleted(void **state)
{
        const struct module *module;
        struct scene scene;
        char path[64];
        void *handle;

        (void)state;
        copy_library(path);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        assert_non_null(handle);
        assert_int_equal(unlink(path), 0);
        look(&scene);
        module = module_at(&scene, library_info(handle).dli_fbase);
        assert_non_null(module);
        assert_true(module->deleted);
        assert_string_equal(module->path, path);
        assert_true(module->build_id.size > 0);
        scene_done(&scene);
        dlclose(handle);
}

static void test_mapped_twice(void **state)
{
        void *first = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        void *second = dlmopen(LM_ID_NEWLM, LIBRARY, RTLD_NOW | RTLD_LOCAL);
        struct build_id id;
        struct scene scene;

        (void)state;
        assert_true(first && second);
        id = build_id_of_file(library_info(first).dli_fname);
        assert_ptr_not_equal(library_info(first).dli_fbase, library_info(second).dli_fbase);
        look(&scene);
        assert_non_null(module_at(&scene, library_info(first).dli_fbase));
        assert_non_null(module_at(&scene, library_info(second).dli_fbase));
        assert_int_equal(count_build_id(&scene, &id), 2);
        scene_done(&scene);
        dlclose(second);
        dlclose(first);
}

static void test_only_read(void **state)
{
        struct build_id id;
        struct scene scene;
        char path[64];
        void *data;
        int fd;

        (void)state;
        copy_library(path);
        id = build_id_of_file(path);
        fd = open(path, O_RDONLY);
        data = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_true(fd >= 0 && data != MAP_FAILED);
        unlink(path);
        look(&scene);
        assert_null(module_at(&scene, data));
        assert_int_equal(count_build_id(&scene, &id), 0);
        scene_done(&scene);
        munmap(data, 65536);
        close(fd);
}

/* Puts a private anonymous copy of [start, end) in its place, as programs do for huge pages. */
static void remap_anonymous(uint64_t start, uint64_t end, int protection)
{
        size_t size = end - start;
        void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_true(copy != MAP_FAILED);
        memcpy(copy, (const void *)(uintptr_t)start, size);
        assert_int_equal(mprotect(copy, size, protection), 0);
        assert_ptr_equal(mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                                (void *)(uintptr_t)start),
                         (void *)(uintptr_t)start);
}

/* Remaps the regions of the library that are executable, or those that hold its header. */
static void remap_library(const void *base, bool text, bool header)
{
        const struct region *first;
        struct maps maps = { 0 };

        assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
        first = maps_find(&maps, (uintptr_t)base);
        assert_non_null(first);
        for (size_t i = 0; i < maps.n_items; i++) {
                const struct region *region = &maps.items[i];

                if (region->inode != first->inode || region->start < first->start)
                        continue;
                if (text && region->executable)
                        remap_anonymous(region->start, region->end, PROT_READ | PROT_EXEC);
                else if (header && region == first)
                        remap_anonymous(region->start, region->end, PROT_READ);
        }
        maps_done(&maps);
}

static void check_remapped(bool text, bool header)
{
        const struct module *module;
        struct build_id id;
        struct scene scene;
        char path[64];
        void *handle;

        copy_library(path);
        id = build_id_of_file(path);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        assert_non_null(handle);
        unlink(path);
        remap_library(library_info(handle).dli_fbase, text, header);
        look(&scene);
        module = module_at(&scene, library_info(handle).dli_fbase);
        assert_non_null(module);
        assert_true(build_id_equal(&module->build_id, &id));
        assert_int_equal(count_build_id(&scene, &id), 1);
        if (header)
                assert_string_equal(module->path, "");
        scene_done(&scene);
        dlclose(handle);
}

static void test_remapped_text(void **state)
{
        (void)state;
        check_remapped(true, false);
}

static void test_remapped_all(void **state)
{
        (void)state;
        check_remapped(true, true);
}

static void test_remapped_header(void **state)
{
        (void)state;
        check_remapped(false, true);
}

static void test_made_code(void **state)
{
        struct scene scene, before;
        void *code;

        (void)state;
        look(&before);
        code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(code != MAP_FAILED);
        look(&scene);
        assert_int_equal(scene.modules.n_items, before.modules.n_items);
        scene_done(&scene);
        scene_done(&before);
        munmap(code, 4096);
}

static void test_cache(void **state)
{
        struct module_cache *cache = module_cache_new();
        struct scene plain, cached;

        (void)state;
        assert_non_null(cache);
        look(&plain);
        for (int round = 0; round < 2; round++) {
                look_with(&cached, getpid(), cache);
                assert_int_equal(cached.modules.n_items, plain.modules.n_items);
                for (size_t i = 0; i < plain.modules.n_items; i++) {
                        assert_true(cached.modules.items[i].address ==
                                    plain.modules.items[i].address);
                        assert_true(build_id_equal(&cached.modules.items[i].build_id,
                                                   &plain.modules.items[i].build_id));
                }
                scene_done(&cached);
        }
        scene_done(&plain);
        assert_null(module_cache_free(cache));
}

static void change_header(void *base)
{
        assert_int_equal(mprotect(base, 4096, PROT_READ | PROT_WRITE), 0);
        memset(base, 0, 4096);
        assert_int_equal(mprotect(base, 4096, PROT_READ), 0);
}

/* One process's changed header must not hide the library of the others. */
static void test_cache_not_poisoned(void **state)
{
        struct module_cache *cache = module_cache_new();
        void *handle = dlopen(LIBRARY, RTLD_NOW);
        int ready[2];
        struct build_id id;
        struct scene scene;
        Dl_info info;
        char byte;
        pid_t pid;

        (void)state;
        assert_true(handle && cache && pipe(ready) == 0);
        info = library_info(handle);
        id = build_id_of_file(info.dli_fname);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                change_header(info.dli_fbase);
                if (write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        look_with(&scene, pid, cache);
        scene_done(&scene);
        look_with(&scene, getpid(), cache);
        assert_int_equal(count_build_id(&scene, &id), 1);
        scene_done(&scene);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(ready[0]);
        close(ready[1]);
        module_cache_free(cache);
        dlclose(handle);
}

static void test_gone(void **state)
{
        struct modules modules = { 0 };
        struct maps maps = { 0 };
        pid_t pid = fork();

        (void)state;
        if (pid == 0)
                for (;;)
                        pause();
        assert_int_equal(maps_read(pid, &maps, NULL), 0);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(modules_read(pid, &maps, NULL, &modules, NULL), MAPS_GONE);
        assert_null(modules.items);
        maps_done(&maps);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_usual),
                cmocka_unit_test(test_deleted),
                cmocka_unit_test(test_mapped_twice),
                cmocka_unit_test(test_only_read),
                cmocka_unit_test(test_remapped_text),
                cmocka_unit_test(test_remapped_all),
                cmocka_unit_test(test_remapped_header),
                cmocka_unit_test(test_made_code),
                cmocka_unit_test(test_cache),
                cmocka_unit_test(test_cache_not_poisoned),
                cmocka_unit_test(test_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
