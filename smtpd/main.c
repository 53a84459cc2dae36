/*
 * veredus-smtpd: one worker that receives mail. Master starts it.
 */
#include "smtpd/worker.h"

int main(void)
{
    return daemon_main(&smtpd_calls);
}
