/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The C++ library knows how names are written (Itanium C++ ABI, chapter 3.4). It is asked only when
 * there is such a name, so nothing depends on it; whoever patches C++ programs has it.
 */
#include "build/demangle.h"

#include <ctype.h>
#include <dlfcn.h>
#include <string.h>
#include "base/buffer.h"
#include "base/cleanup.h"

typedef char *demangle_function(const char *name, char *buffer, size_t *size, int *status);

static demangle_function *find_demangler(void)
{
        static demangle_function *found;
        static bool sought;

        if (!sought) {
                void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL);

                if (library)
                        *(void **)&found = dlsym(library, "__cxa_demangle");
                sought = true;
        }
        return found;
}

static size_t name_length(const char *text)
{
        size_t n = 0;

        while (isalnum((unsigned char)text[n]) || text[n] == '_')
                n++;
        return n;
}

/* Appends what stands for the name, or the name itself. */
static bool append_name(struct buffer *ret, const char *name, size_t length)
{
        demangle_function *demangle = find_demangler();
        _cleanup_free_ char *word = strndup(name, length), *plain = NULL;
        int status = -1;

        if (!word)
                return false;
        if (demangle)
                plain = demangle(word, NULL, NULL, &status);
        return buffer_printf(ret, "%s", status == 0 && plain ? plain : word);
}

char *demangle_text(const char *text)
{
        struct buffer result = { 0 };
        bool ok = true, at_start = true;

        if (!strstr(text, "_Z"))
                return strdup(text);
        while (ok && *text) {
                size_t length = at_start ? name_length(text) : 0;

                if (length > 2 && strncmp(text, "_Z", 2) == 0) {
                        ok = append_name(&result, text, length);
                        text += length;
                        continue;
                }
                at_start = !isalnum((unsigned char)*text) && *text != '_';
                ok = buffer_printf(&result, "%c", *text++);
        }
        if (!ok) {
                buffer_done(&result);
                return NULL;
        }
        return (char *)result.data;
}
