/*
 * veredus-qmgr: owns the spool. Started by master alone.
 */
#include "qmgr/qmgr.h"

int main(void)
{
    return daemon_main(&qmgr_calls);
}
