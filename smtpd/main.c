/*
 * veredus-smtpd: one worker that receives mail. One program for two roles, because the dialogue is
 * one and what a client may do in it differs; master names the role as the first argument.
 */
#include "smtpd/worker.h"

#include "util/base/panic.h"

#include <sysexits.h>

int main(int argc, char **argv)
{
    struct span role = argc > 1 ? span_cstr(argv[1]) : SPAN("");
    if (span_equal(role, SPAN("smtpd")))
        return daemon_main(&smtpd_calls);
    if (span_equal(role, SPAN("submission")))
        return daemon_main(&submission_calls);
    fatal(EX_USAGE, "usage: veredus-smtpd smtpd|submission (started by master)");
}
