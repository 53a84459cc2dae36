/* Users come before the daemon, which watches the directory of the tables from its start. */
#include "lookup_rig.h"

#include <unistd.h>

#include "lookup/lookup.h"

void lookup_rig_begin(void **state, const struct lookup_rig_wishes *wishes)
{
    struct lookup_rig *rig = mem_new(sizeof(*rig));
    table_rig_begin(&rig->tables, wishes->settings);
    table_rig_write(&rig->tables, "users", wishes->users);
    table_rig_write(&rig->tables, "aliases", wishes->aliases);
    daemon_rig_begin(&rig->daemon, &lookup_calls, rig->tables.text);
    rig->peer = daemon_rig_peer(&rig->daemon, ROLE_SMTPD);
    *state = rig;
}

int lookup_rig_end(void **state)
{
    struct lookup_rig *rig = *state;
    (void)close(rig->peer);
    daemon_rig_end(&rig->daemon);
    table_rig_end(&rig->tables);
    mem_free(rig);
    return 0;
}

void lookup_rig_ask(struct lookup_rig *rig, const struct ipc_type *type, const void *question)
{
    daemon_rig_send(rig->peer, type, question);
}

void lookup_rig_hear(struct lookup_rig *rig, const struct ipc_type *answer_type, void *answer)
{
    daemon_rig_receive(&rig->daemon, rig->peer, answer_type, answer);
}
