/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source packages are alike in how they name things. Folders tell first (po/, debian/, doc/), the
 * ending of the name next. What is unknown is no code: compilers are only given files of known
 * endings, or files that those include.
 */
#include "build/change-kind.h"

#include <stddef.h>
#include <string.h>
#include "base/cleanup.h"

static const char *const c_endings[] = {
        ".c", ".h", ".cc", ".hh", ".cpp", ".hpp", ".cxx", ".hxx", ".c++", ".h++", ".C", ".H",
        ".inc", ".ipp", ".tcc", ".inl", ".def",
};
static const char *const other_code_endings[] = {
        ".y", ".yy", ".ypp", ".l", ".ll", ".lpp", ".rl", ".gperf", ".S", ".s", ".asm", ".re",
};
static const char *const recipe_endings[] = {
        ".ac", ".am", ".m4", ".cmake", "Makefile", "GNUmakefile", "CMakeLists.txt", "meson.build",
        ".mk", ".in", ".mak", "configure", "SConstruct", "meson_options.txt", ".pro", ".gyp",
};
static const char *const documentation_endings[] = {
        ".md", ".rst", ".txt", ".texi", ".html", ".xml", ".pod", ".adoc", ".1", ".2", ".3", ".4",
        ".5", ".6", ".7", ".8", ".9", "ChangeLog", "NEWS", "README", "AUTHORS", "COPYING",
        "LICENSE", "TODO", "INSTALL", "THANKS", "CHANGES", "RELEASENOTES",
};
static const char *const translation_endings[] = { ".po", ".pot", ".gmo", ".ts", "LINGUAS" };

/* A folder, by the beginning of its name. */
static const struct {
        const char *start;
        enum change_kind kind;
} folders[] = {
        { "test", CHANGE_TESTS },        { "unittest", CHANGE_TESTS },
        { "regress", CHANGE_TESTS },     { "fuzz", CHANGE_TESTS },
        { "doc", CHANGE_DOCUMENTATION }, { "example", CHANGE_EXAMPLES },
        { "sample", CHANGE_EXAMPLES },   { "demo", CHANGE_EXAMPLES },
        { "contrib", CHANGE_EXAMPLES },
};
static const struct {
        const char *name;
        enum change_kind kind;
} whole_folders[] = {
        { "t", CHANGE_TESTS },              { "man", CHANGE_DOCUMENTATION },
        { "po", CHANGE_TRANSLATIONS },      { "locale", CHANGE_TRANSLATIONS },
        { "locales", CHANGE_TRANSLATIONS }, { ".github", CHANGE_PACKAGING },
        { ".gitlab", CHANGE_PACKAGING },    { ".circleci", CHANGE_PACKAGING },
};

static bool has_ending(const char *name, const char *const *endings, size_t n)
{
        size_t length = strlen(name);

        for (size_t i = 0; i < n; i++)
                if (length >= strlen(endings[i]) &&
                    strcmp(name + length - strlen(endings[i]), endings[i]) == 0)
                        return true;
        return false;
}

/* What the folders of a name say; 0 if nothing. */
static enum change_kind kind_by_folder(const char *name)
{
        if (strncmp(name, "debian/", strlen("debian/")) == 0)
                return CHANGE_PACKAGING;
        for (const char *end; (end = strchr(name, '/')); name = end + 1) {
                size_t length = (size_t)(end - name);

                for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                        if (strncmp(name, folders[i].start, strlen(folders[i].start)) == 0)
                                return folders[i].kind;
                for (size_t i = 0; i < ARRAY_SIZE(whole_folders); i++)
                        if (strlen(whole_folders[i].name) == length &&
                            strncmp(name, whole_folders[i].name, length) == 0)
                                return whole_folders[i].kind;
        }
        return 0;
}

static enum change_kind kind_by_ending(const char *name)
{
        const char *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;

        if (has_ending(last, c_endings, ARRAY_SIZE(c_endings)))
                return CHANGE_CODE;
        if (has_ending(last, other_code_endings, ARRAY_SIZE(other_code_endings)))
                return CHANGE_OTHER_CODE;
        if (has_ending(last, translation_endings, ARRAY_SIZE(translation_endings)))
                return CHANGE_TRANSLATIONS;
        if (has_ending(last, recipe_endings, ARRAY_SIZE(recipe_endings)))
                return CHANGE_RECIPE;
        if (has_ending(last, documentation_endings, ARRAY_SIZE(documentation_endings)))
                return CHANGE_DOCUMENTATION;
        return last[0] == '.' ? CHANGE_PACKAGING : CHANGE_OTHER; /* .gitignore and the like */
}

enum change_kind change_kind_of(const char *name)
{
        enum change_kind kind = kind_by_ending(name);
        enum change_kind folder = kind_by_folder(name);

        if (folder == CHANGE_PACKAGING)
                return folder;
        return kind != CHANGE_CODE && folder ? folder : kind;
}

enum change_kind change_kind_beside(const char *name)
{
        enum change_kind folder = kind_by_folder(name);

        return folder ? folder : kind_by_ending(name);
}

bool change_is_assembly(const char *name)
{
        static const char *const endings[] = { ".S", ".s", ".asm" };

        return has_ending(name, endings, ARRAY_SIZE(endings));
}

const char *change_kind_text(enum change_kind kind)
{
        static const char *const texts[] = {
                [CHANGE_CODE] = "code that is not in this build",
                [CHANGE_OTHER_CODE] = "other languages",
                [CHANGE_RECIPE] = "build recipes",
                [CHANGE_DOCUMENTATION] = "documentation",
                [CHANGE_TESTS] = "tests",
                [CHANGE_EXAMPLES] = "examples",
                [CHANGE_TRANSLATIONS] = "translations",
                [CHANGE_PACKAGING] = "packaging",
                [CHANGE_OTHER] = "other files",
        };

        return texts[kind];
}
