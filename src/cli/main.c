/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * suture: reads the command line, runs the verb, prints the fault if there was one. A broken pipe
 * must not end suture in the middle of a change, so SIGPIPE is ignored and noticed as a write
 * error at the end.
 */
#include <locale.h>
#include <signal.h>
#include "cli/usage.h"
#include "cli/verbs.h"

static int print_help(const struct options *options, struct output *output)
{
        if (options->version)
                output_text(output, "suture %s\n", SUTURE_VERSION);
        else if (options->verb)
                usage_print_verb(output, options->verb);
        else
                usage_print(output);
        return EXIT_CODE_OK;
}

static int run(const struct options *options, struct output *output, struct error *err)
{
        if (options->help || options->version) {
                output->json = output->quiet = false;
                return print_help(options, output);
        }
        return options->verb->run(options, output, err);
}

int main(int argc, char *argv[])
{
        _cleanup_(options_done) struct options options;
        struct error err = { .exit_code = EXIT_CODE_ERROR };
        struct output output;
        int r;

        setlocale(LC_CTYPE, "");
        signal(SIGPIPE, SIG_IGN);
        r = options_parse(argc, argv, &options, &err);
        output_init(&output, &options);
        if (r == 0)
                r = run(&options, &output, &err);
        if (r < 0) {
                output_error(&output, &err);
                r = (int)err.exit_code;
        }
        if (!output_finish(&output) && r == EXIT_CODE_OK) {
                error_set(&err, EXIT_CODE_ERROR, 0, NULL, "could not write all of the output");
                output.json = false;
                output_error(&output, &err);
                r = (int)err.exit_code;
        }
        return r;
}
