/*
 * veredus-local - owns the mailboxes. One program for two roles, because both need the same care
 * with the same directories; master names the role as the first argument.
 */
#include "local/deliver_daemon.h"
#include "local/mailbox_daemon.h"

#include "util/base/panic.h"

#include <sysexits.h>

int main(int argc, char **argv)
{
    struct span role = argc > 1 ? span_cstr(argv[1]) : SPAN("");
    if (span_equal(role, SPAN("deliver")))
        return daemon_main(&deliver_daemon_calls);
    if (span_equal(role, SPAN("mailbox")))
        return daemon_main(&mailbox_daemon_calls);
    fatal(EX_USAGE, "usage: veredus-local deliver|mailbox (started by master)");
}
