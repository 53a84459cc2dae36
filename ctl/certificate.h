/*
 * certificate - the self-signed certificate of a new instance.
 *
 * Good for encryption from the first minute and for clients that are told to trust this one; a real
 * host replaces it by one of an authority.
 */
#ifndef VEREDUS_CTL_CERTIFICATE_H
#define VEREDUS_CTL_CERTIFICATE_H

#include "ctl/ctl.h"

/* Writes cert.pem (mode 0644) and key.pem (0600) into the directory: ECDSA P-256, valid for ten
 * years, for `hostname`, localhost and 127.0.0.1. A pair that is there already is kept. False after
 * a message. */
bool certificate_make(struct ctl *ctl, struct span directory, struct span hostname)
    __attribute__((warn_unused_result));

#endif
