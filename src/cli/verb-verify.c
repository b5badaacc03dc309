/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include "cli/describe.h"
#include "cli/verbs.h"

#define UNSIGNED "none: nothing proves who made this file; compare the digest with its author's"

static void print_target(struct output *output, const struct patch *patch,
                         const struct patch_target *target)
{
        char build_id[BUILD_ID_HEX_SIZE];

        build_id_format(&target->build_id, build_id);
        output_text(output, "\n  for        %s", target->module);
        if (target->package)
                output_text(output, " of %s%s%s", target->package, target->version ? " " : "",
                            target->version ? target->version : "");
        output_text(output, "\n             build ID %s\n", build_id);
        for (size_t i = 0; i < target->n_functions; i++) {
                _cleanup_buffer_ struct buffer text = { 0 };

                describe_function(patch, &target->functions[i], &text);
                output_text(output, "             replaces %s\n", (const char *)text.data);
        }
        if (target->hook_pre || target->hook_post || target->hook_undo)
                output_text(output, "             runs code of its own:%s%s%s\n",
                            target->hook_pre ? " before it is switched on" : "",
                            target->hook_post ? " after it is switched on" : "",
                            target->hook_undo ? " when it is taken back" : "");
        if (target->pinned)
                output_text(output, "             stays in memory after a rollback, since pointers "
                                    "to it may be kept\n");
}

static void print_text(struct output *output, const struct patch *patch)
{
        _cleanup_buffer_ struct buffer cves = { 0 };
        char name[PATCH_NAME_SIZE], digest[SHA256_HEX_SIZE];

        patch_format_name(patch, name);
        sha256_format(&patch->digest, digest);
        describe_cves(patch, true, &cves);
        output_text(output, "%s  %s\n", name, patch->title);
        output_text(output, "  fixes      %s\n",
                    cves.size ? (const char *)cves.data : "no CVE named");
        output_text(output, "  source     %s %s\n", patch->source_package, patch->source_version);
        for (size_t i = 0; i < patch->n_fixes; i++)
                output_text(output, "  from       %s\n", patch->fixes[i].name);
        for (size_t i = 0; i < patch->n_supersedes; i++)
                output_text(output, "  contains   %s\n", patch->supersedes[i]);
        output_text(output, "  made       %s%s%s\n", patch->created, patch->author ? " by " : "",
                    patch->author ? patch->author : "");
        output_text(output, "  size       %zu bytes\n", patch->bytes.size);
        output_text(output, "  digest     %s\n", digest);
        output_text(output, "  signature  %s\n", UNSIGNED);
        for (size_t i = 0; i < patch->n_targets; i++)
                print_target(output, patch, &patch->targets[i]);
}

int verb_verify(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(patch_freep) struct patch *patch = NULL;
        int r = patch_open(options->arguments.items[0], &patch, err);

        if (r < 0)
                return r;
        print_text(output, patch);
        output_json(output, "suture-verify-1", EXIT_CODE_OK,
                    json_pack("{s:[o]}", "items", describe_patch_json(patch)));
        return EXIT_CODE_OK;
}
