/*
 * veredus-auth: verifies passwords. Started by master alone.
 */
#include "auth/auth.h"

int main(void)
{
    return daemon_main(&auth_calls);
}
