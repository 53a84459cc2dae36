/*
 * What cppcheck has to know of <bsd/sys/queue.h> and <uthash.h>, whose macros it can not read.
 */
#define LIST_FOREACH(each, head, link) for (each = first(head); each; each = next(each))
#define LIST_FOREACH_SAFE(each, head, link, follow)                                                \
    for (each = follow = first(head); each; each = follow)
#define TAILQ_FOREACH(each, head, link) for (each = first(head); each; each = next(each))
#define TAILQ_FOREACH_SAFE(each, head, link, follow)                                               \
    for (each = follow = first(head); each; each = follow)
#define STAILQ_FOREACH(each, head, link)      for (each = first(head); each; each = next(each))
#define HASH_ITER(hh, head, each, follow)     for (each = follow = head; each; each = follow)
#define HASH_FIND(hh, head, key, size, found) (found = find(head, key, size))
#define LIST_HEAD(name, type)                                                                      \
    struct name {                                                                                  \
        struct type *lh_first;                                                                     \
    }
#define TAILQ_HEAD(name, type)                                                                     \
    struct name {                                                                                  \
        struct type *tqh_first;                                                                    \
    }
#define LIST_ENTRY(type)  struct type *
#define TAILQ_ENTRY(type) struct type *
