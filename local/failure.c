/*
 * Why so few: the sender can do nothing about any of them, and the operator has the errno in the
 * log. Those that an operator is asked about have words of their own.
 */
#include "local/failure.h"

#include <errno.h>
#include <stddef.h>

static const struct failure failures[] = {
    {ENOSPC, "4.3.1", "the mail store is full"},
    {EDQUOT, "4.2.2", "the mailbox is full"},
    {EFBIG, "4.2.3", "the message is larger than a file may be"},
    {EROFS, "4.3.0", "the mail store can not be written to"},
    {EIO, "4.3.0", "the mail store reports an input/output error"},
    {EMFILE, "4.3.0", "too many open files"},
    {ENFILE, "4.3.0", "too many open files"},
};

const struct failure *failure_of(int error)
{
    static const struct failure other = {0, "4.3.0", "local error"};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].error == error)
            return &failures[i];
    return &other;
}
