/*
 * Most mail comes from the login's own address: that is seen here, without a question. The other
 * answers are not remembered; a user with many addresses is asked about once a message.
 */
#include "smtpd/sender_right.h"

#include <limits.h>
#include <stdio.h>

#include "util/base/log.h"
#include "util/mail/senders_table.h"

/* The entry of the login, or the table in which it has none. */
static void log_refusal(const struct sender_right *right, unsigned line)
{
    char rule[PATH_MAX + 32];
    const char *directory = right->conf->table_directory.data;
    int length = line > 0 ? snprintf(rule, sizeof(rule), "%s/senders:%u", directory, line)
                          : snprintf(rule, sizeof(rule), "%s/senders", directory);
    if (length < 0 || (size_t)length >= sizeof(rule))
        rule[0] = '\0';
    log_event(LOG_INFO, "sender-refused", LOG_SPAN("session", right->session),
              LOG_SPAN("login", right->ask.login), LOG_SPAN("sender", right->ask.address),
              LOG_STR("rule", rule));
}

/* RFC 4954 §6 leaves the code to the server; 553 is what others use. */
static struct reply reply_of(enum senders_verdict verdict, unsigned line)
{
    switch (verdict) {
    case SENDERS_OWN:
    case SENDERS_LISTED:
        return REPLY_PENDING;
    case SENDERS_REFUSED:
        return (struct reply){.code = 553,
                              .enhanced = "5.7.1",
                              .text = "Sender address is not yours",
                              .setting = "senders",
                              .line = line};
    case SENDERS_ERROR:
        break;
    }
    return (struct reply){.code = 451, .enhanced = "4.3.0", .text = "Temporary lookup failure"};
}

/* NULL: lookup said nothing in time. */
static void on_answer(struct question *question, const void *message)
{
    static const struct sender_answer later = {.verdict = SENDERS_ERROR};
    struct sender_right *right =
        (struct sender_right *)((char *)question - offsetof(struct sender_right, question));
    const struct sender_answer *answer = message != NULL ? message : &later;
    right->reply = reply_of((enum senders_verdict)answer->verdict, answer->line);
    if (answer->verdict == SENDERS_REFUSED)
        log_refusal(right, answer->line);
    right->done(right->arg);
}

bool sender_right_start(struct sender_right *right, struct span login,
                        const struct address *address)
{
    char key[ADDRESS_TEXT_MAX];
    right->reply = REPLY_PENDING;
    if (span_equal_nocase(login, address_key(address, key)))
        return true;
    right->ask =
        (struct sender_ask){.login = login, .address = address_text(address, right->address)};
    right->question = (struct question){.questions = right->questions,
                                        .type = &ipc_sender_ask,
                                        .answer_type = &ipc_sender_answer,
                                        .message = &right->ask,
                                        .answered = on_answer};
    questions_ask(&right->question);
    return false;
}

void sender_right_cancel(struct sender_right *right)
{
    questions_cancel(&right->question);
}
