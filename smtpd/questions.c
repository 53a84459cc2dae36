/*
 * The patience is a timer of each question, so that whoever asks needs none for a lookup process
 * that does not come back. When the socket takes nothing the question waits like one without a
 * lookup: pressure shows as time.
 */
#include "smtpd/questions.h"

#include "util/base/log.h"
#include "util/base/panic.h"

/* The one thing that all messages have in common. */
static uint32_t number_of(const void *message)
{
    uint32_t number;
    memcpy(&number, message, sizeof(number));
    return number;
}

/* Off the table before its owner hears: the call may free it. */
static void end(struct question *question, const void *answer)
{
    questions_cancel(question);
    question->answered(question, answer);
}

static void on_patience(void *arg)
{
    end(arg, NULL);
}

/* A message that can not be sent now is sent with the next connection, or never. */
static void put(const struct question *question)
{
    struct channel *channel = question->questions->channel;
    if (channel != NULL && !channel_send(channel, question->type, question->message, NULL))
        log_event(LOG_WARN, "question-not-sent", LOG_STR("type", question->type->name));
}

/* Number 0 means that nothing was asked. */
void questions_ask(struct question *question)
{
    struct questions *questions = question->questions;
    require(question->number == 0);
    do {
        question->number = ++questions->last;
    } while (question->number == 0);
    memcpy(question->message, &question->number, sizeof(question->number));
    HASH_ADD(hh, questions->waiting, number, sizeof(question->number), question);
    timer_init(&question->patience, questions->loop, on_patience, question);
    timer_set(&question->patience, QUESTION_PATIENCE_MS);
    put(question);
}

void questions_cancel(struct question *question)
{
    if (question->number == 0)
        return;
    HASH_DELETE(hh, question->questions->waiting, question);
    timer_cancel(&question->patience);
    question->number = 0;
}

/* In the order in which they were asked: uthash keeps it. */
void questions_connect(struct questions *questions, struct channel *channel)
{
    struct question *each, *following;
    questions->channel = channel;
    HASH_ITER (hh, questions->waiting, each, following)
        put(each);
}

/* An answer twice, to a question that was asked at two processes, finds nobody the second time. */
bool questions_heard(struct questions *questions, const struct ipc_type *type, const void *message)
{
    uint32_t number = number_of(message);
    struct question *question;
    HASH_FIND(hh, questions->waiting, &number, sizeof(number), question);
    if (question == NULL || question->answer_type != type)
        return type == &ipc_access_answer || type == &ipc_sender_answer ||
               type == &ipc_greylist_answer;
    end(question, message);
    return true;
}
