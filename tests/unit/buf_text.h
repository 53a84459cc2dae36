/*
 * buf_text - text for tests, printed into a buffer.
 */
#ifndef VEREDUS_TESTS_BUF_TEXT_H
#define VEREDUS_TESTS_BUF_TEXT_H

#include "util/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

/* Appends what printf(3) would print, 16 KiB at most; false when there is no room. */
__attribute__((format(printf, 2, 3))) static inline bool buf_text(struct buf *buf,
                                                                  const char *format, ...)
{
    char text[16384];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return length >= 0 && (size_t)length < sizeof(text) &&
           buf_append(buf, span_of(text, (size_t)length));
}

#endif
