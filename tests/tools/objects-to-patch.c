/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The developer's short way to a patch file, for tests: from objects that are compiled already,
 * without a source package and a rebuild.
 *
 *     objects-to-patch --objects ORIG.o=FIXED.o... --shipped MODULE [--symbols FILE]
 *             [--linked-fixed FILE] [--library-path DIR]... --id ID --level N --title T
 *             [--cve CVE-...:remote]... [--supersedes ID]... -o OUT.spatch
 *
 * --shipped begins a new target; --objects and --symbols belong to the one before them or, if
 * there is none yet, to the first. The unit's name is that of the original object with .c for .o,
 * or what follows a second "=". Prints what was found. Ends with 0, 4 (refused) or 1 (fault), as
 * suture does.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "build/objects.h"

enum { MAX = 256 };

static struct objects_target targets[MAX];
static struct object_pair pairs[MAX][MAX];
static size_t n_targets = 1;
static bool shipped_seen;
static struct patch_cve cves[MAX];
static const char *supersedes[MAX];
static const char *library_paths[MAX];
static size_t n_library_paths;
static const char *output_path;
static struct objects_patch patch = {
        .id = "TEST-1", .level = 1, .title = "test", .source_package = "test",
        .source_version = "1", .cves = cves, .supersedes = supersedes,
};

static void usage(const char *what)
{
        fprintf(stderr, "objects-to-patch: %s\n", what);
        exit(EXIT_CODE_USAGE);
}

static const char *unit_name(const char *original)
{
        const char *slash = strrchr(original, '/');
        char *name = strdup(slash ? slash + 1 : original);
        size_t length = strlen(name);

        if (length > 2 && name[length - 2] == '.')
                name[length - 1] = 'c';
        return name;
}

static void take_objects(char *text)
{
        struct objects_target *target = &targets[n_targets - 1];
        struct object_pair *pair;
        char *equals = strchr(text, '='), *second;

        if (!equals || target->n_pairs == MAX)
                usage("--objects ORIG.o=FIXED.o[=UNIT.c]");
        *equals = '\0';
        second = strchr(equals + 1, '=');
        if (second)
                *second = '\0';
        pair = &pairs[n_targets - 1][target->n_pairs++];
        target->pairs = pairs[n_targets - 1];
        pair->original = text;
        pair->fixed = equals + 1;
        pair->unit = second ? second + 1 : unit_name(text);
}

static void take_cve(char *text)
{
        char *colon = strchr(text, ':');
        struct patch_cve *cve = &cves[patch.n_cves++];

        cve->id = text;
        if (!colon)
                return;
        *colon = '\0';
        cve->reach = strcmp(colon + 1, "remote") == 0 ? PATCH_REACH_REMOTE : PATCH_REACH_LOCAL;
}

static void take_shipped(const char *path)
{
        if (shipped_seen)
                n_targets++;
        if (n_targets > MAX)
                usage("too many targets");
        shipped_seen = true;
        targets[n_targets - 1].shipped = path;
}

enum { OPT_OBJECTS = 256, OPT_SHIPPED, OPT_SYMBOLS, OPT_LINKED, OPT_LIBRARY, OPT_ID, OPT_LEVEL,
       OPT_TITLE, OPT_CVE, OPT_SUPERSEDES };

static const struct option options[] = {
        { "objects", required_argument, NULL, OPT_OBJECTS },
        { "shipped", required_argument, NULL, OPT_SHIPPED },
        { "symbols", required_argument, NULL, OPT_SYMBOLS },
        { "linked-fixed", required_argument, NULL, OPT_LINKED },
        { "library-path", required_argument, NULL, OPT_LIBRARY },
        { "id", required_argument, NULL, OPT_ID },
        { "level", required_argument, NULL, OPT_LEVEL },
        { "title", required_argument, NULL, OPT_TITLE },
        { "cve", required_argument, NULL, OPT_CVE },
        { "supersedes", required_argument, NULL, OPT_SUPERSEDES },
        { NULL, 0, NULL, 0 },
};

static void take_option(int option)
{
        if ((option == OPT_CVE && patch.n_cves == MAX) ||
            (option == OPT_SUPERSEDES && patch.n_supersedes == MAX) ||
            (option == OPT_LIBRARY && n_library_paths == MAX))
                usage("too many options");
        switch (option) {
        case OPT_OBJECTS: take_objects(optarg); break;
        case OPT_SHIPPED: take_shipped(optarg); break;
        case OPT_SYMBOLS: targets[n_targets - 1].symbols = optarg; break;
        case OPT_LINKED: targets[n_targets - 1].linked_fixed = optarg; break;
        case OPT_LIBRARY: library_paths[n_library_paths++] = optarg; break;
        case OPT_ID: patch.id = optarg; break;
        case OPT_LEVEL: patch.level = (uint32_t)strtoul(optarg, NULL, 10); break;
        case OPT_TITLE: patch.title = optarg; break;
        case OPT_CVE: take_cve(optarg); break;
        case OPT_SUPERSEDES: supersedes[patch.n_supersedes++] = optarg; break;
        case 'o': output_path = optarg; break;
        default: usage("unknown option");
        }
}

static void parse(int argc, char **argv)
{
        int option;

        while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1)
                take_option(option);
        while (optind < argc) /* --objects A=B C=D ... */
                take_objects(argv[optind++]);
        if (!output_path || !shipped_seen)
                usage("--shipped and -o are needed");
        for (size_t i = 0; i < n_targets; i++) {
                targets[i].library_paths = library_paths;
                targets[i].n_library_paths = n_library_paths;
        }
}

static void print_report(const struct objects_report *report)
{
        for (size_t i = 0; i < report->n_functions; i++) {
                const struct objects_function *function = &report->functions[i];

                printf("%s %s %llu %llu %s: %s\n",
                       function->change == OBJECTS_CHANGED ? "changed" : "new", function->name,
                       (unsigned long long)function->old_size,
                       (unsigned long long)function->new_size, function->unit, function->why);
        }
        for (size_t i = 0; i < report->n_findings; i++)
                printf("%s %s %s: %s\n", report->findings[i].code,
                       report->findings[i].fatal ? "error" : "warning",
                       report->findings[i].where, report->findings[i].text);
}

int main(int argc, char **argv)
{
        _cleanup_(objects_report_done) struct objects_report report = { 0 };
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct error err = { 0 };
        int r;

        parse(argc, argv);
        r = build_from_objects(&patch, targets, n_targets, &bytes, &report, &err);
        print_report(&report);
        if (r == 0)
                r = file_write_atomic(output_path, bytes.data, bytes.size, 0644, &err);
        if (r == 0)
                return 0;
        fprintf(stderr, "objects-to-patch: %s\n", err.cause);
        return r > 0 ? EXIT_CODE_UNSUPPORTED : EXIT_CODE_ERROR;
}
