/*
 * recipient_checks - what a recipient waits for beside lookup's word that it exists: the judgement
 * of its client, what the table `access` says of the recipient, greylisting, and how many there may
 * be.
 */
#ifndef VEREDUS_SMTPD_RECIPIENT_CHECKS_H
#define VEREDUS_SMTPD_RECIPIENT_CHECKS_H

#include "smtpd/recipients.h"

/* Asks for what can be asked before lookup has answered. */
void recipient_checks_start(struct recipient *recipient);

/* For the first of those that wait, when lookup has answered: *reply becomes the last word.
 * False: not all is known yet; recipients_settle is called when it is. */
bool recipient_checks_judge(struct recipient *recipient, struct reply *reply)
    __attribute__((warn_unused_result));

/* It is answered, or nobody waits for it any more. */
void recipient_checks_forget(struct recipient *recipient);

#endif
