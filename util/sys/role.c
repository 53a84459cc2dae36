/*
 * The table is data that three parties read: master spawns and pairs by it, the privileges and the
 * sandbox follow it. A pair of peers stands in both rows; the unit test holds them against each
 * other.
 */
#include "util/sys/role.h"

#include "util/base/panic.h"

#define PEER(role) (1U << (role))

static const struct role_info roles[ROLE_COUNT] = {
    [ROLE_MASTER] = {.name = "master", .program = "veredus", .user = USER_ROOT, .count = 1},
    [ROLE_LOOKUP] = {.name = "lookup",
                     .program = "veredus-lookup",
                     .user = USER_SERVICE,
                     .peers = PEER(ROLE_SMTPD) | PEER(ROLE_SUBMISSION) | PEER(ROLE_QMGR) |
                              PEER(ROLE_MAILBOX),
                     .count = 1},
    [ROLE_AUTH] = {.name = "auth",
                   .program = "veredus-auth",
                   .user = USER_AUTH,
                   .peers = PEER(ROLE_SUBMISSION) | PEER(ROLE_POP3D),
                   .count = 1},
    [ROLE_QMGR] = {.name = "qmgr",
                   .program = "veredus-qmgr",
                   .user = USER_QUEUE,
                   .peers = PEER(ROLE_SMTPD) | PEER(ROLE_SUBMISSION) | PEER(ROLE_LOOKUP) |
                            PEER(ROLE_DELIVER),
                   .count = 1},
    [ROLE_DELIVER] = {.name = "deliver",
                      .program = "veredus-local",
                      .user = USER_MAIL,
                      .peers = PEER(ROLE_QMGR),
                      .count = 1},
    [ROLE_MAILBOX] = {.name = "mailbox",
                      .program = "veredus-local",
                      .user = USER_MAIL,
                      .peers = PEER(ROLE_LOOKUP) | PEER(ROLE_POP3D),
                      .count = 2},
    [ROLE_SMTPD] = {.name = "smtpd",
                    .program = "veredus-smtpd",
                    .user = USER_SERVICE,
                    .peers = PEER(ROLE_QMGR) | PEER(ROLE_LOOKUP),
                    .receives = true,
                    .per_worker = true,
                    .count = 1},
    [ROLE_SUBMISSION] = {.name = "submission",
                         .program = "veredus-smtpd",
                         .user = USER_SERVICE,
                         .peers = PEER(ROLE_QMGR) | PEER(ROLE_LOOKUP) | PEER(ROLE_AUTH),
                         .receives = true,
                         .per_worker = true,
                         .count = 1},
    [ROLE_POP3D] = {.name = "pop3d",
                    .program = "veredus-pop3d",
                    .user = USER_SERVICE,
                    .peers = PEER(ROLE_AUTH) | PEER(ROLE_MAILBOX),
                    .per_worker = true,
                    .count = 1},
};

/* A role out of range comes from a bug, never from a message: the codec bounds it. */
const struct role_info *role_info(enum role role)
{
    require((unsigned)role < ROLE_COUNT);
    return &roles[role];
}
