/*
 * veredus: the operator's command.
 */
#include "ctl/ctl.h"

#include <sysexits.h>

int main(int argc, char **argv)
{
    int code = ctl_main(argc, argv, &(struct ctl_streams){stdin, stdout, stderr});
    /* What was printed and lost (a full disk behind ">") must not look like success. */
    if (fflush(stdout) != 0 && code == EX_OK)
        return EX_IOERR;
    return code;
}
