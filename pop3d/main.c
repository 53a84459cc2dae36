/*
 * veredus-pop3d: speaks POP3. Started by master alone.
 */
#include "pop3d/worker.h"

int main(void)
{
    return daemon_main(&pop3d_calls);
}
