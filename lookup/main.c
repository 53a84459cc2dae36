/*
 * veredus-lookup: answers questions about addresses. Started by master alone.
 */
#include "lookup/lookup.h"

int main(void)
{
    return daemon_main(&lookup_calls);
}
