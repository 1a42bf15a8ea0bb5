/* SPDX-License-Identifier: Apache-2.0 */
/* Doubly linked lists whose links live in their elements: adding, removing and counting are O(1)
 * and never allocate. LIST_DECLARE makes one list type for one element type and link member, so the
 * compiler refuses an element of another type; a link remembers its list, so removing an element
 * from a list that it is not on is a failed CHECK, not a corrupted count. */
#ifndef PORTICO_BASE_LIST_H
#define PORTICO_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "base/compiler.h"

/* Zeroed means "on no list". */
struct list_link {
    struct list_link *previous, *next;
    const void *list; /* the list it is on, NULL for none */
};

/* Declares struct NAME, a list of TYPE linked through the member LINK, and:
 *
 *     NAME_init(list)               an empty list; using a list that was not initialised, or that
 *                                   moved afterwards, is a failed CHECK
 *     NAME_is_empty(list)           NAME_count(list)
 *     NAME_first(list)              NAME_last(list)             NULL when empty
 *     NAME_next(list, element)      NAME_previous(list, element) NULL at the end; the element must
 *                                   be on this list
 *     NAME_push_front(list, element), NAME_push_back(list, element): it must be on no list
 *     NAME_remove(list, element): it must be on this list
 *     NAME_pop_front(list): removed and returned, NULL when empty
 *     NAME_holds(list, element)
 */
#define LIST_DECLARE(NAME, TYPE, LINK)                                                          \
    struct NAME {                                                                               \
        struct list_link head;                                                                  \
        size_t count;                                                                           \
    };                                                                                          \
    LIST_FUNCTION void NAME##_init(struct NAME *list)                                           \
    {                                                                                           \
        list->head = (struct list_link){&list->head, &list->head, list};                        \
        list->count = 0;                                                                        \
    }                                                                                           \
    LIST_FUNCTION size_t NAME##_count(const struct NAME *list)                                  \
    {                                                                                           \
        return list->count;                                                                     \
    }                                                                                           \
    LIST_FUNCTION bool NAME##_is_empty(const struct NAME *list)                                 \
    {                                                                                           \
        return list->count == 0;                                                                \
    }                                                                                           \
    LIST_FUNCTION bool NAME##_holds(const struct NAME *list, const TYPE *element)               \
    {                                                                                           \
        return element->LINK.list == list;                                                      \
    }                                                                                           \
    LIST_FUNCTION TYPE *NAME##_at(const struct NAME *list, struct list_link *link)              \
    {                                                                                           \
        CHECK(list->head.list == list);                                                         \
        return link == &list->head ? NULL : CONTAINER_OF(link, TYPE, LINK);                     \
    }                                                                                           \
    LIST_FUNCTION TYPE *NAME##_first(const struct NAME *list)                                   \
    {                                                                                           \
        return NAME##_at(list, list->head.next);                                                \
    }                                                                                           \
    LIST_FUNCTION TYPE *NAME##_last(const struct NAME *list)                                    \
    {                                                                                           \
        return NAME##_at(list, list->head.previous);                                            \
    }                                                                                           \
    LIST_FUNCTION TYPE *NAME##_next(const struct NAME *list, const TYPE *element)               \
    {                                                                                           \
        CHECK(element->LINK.list == list);                                                      \
        return NAME##_at(list, element->LINK.next);                                             \
    }                                                                                           \
    LIST_FUNCTION TYPE *NAME##_previous(const struct NAME *list, const TYPE *element)           \
    {                                                                                           \
        CHECK(element->LINK.list == list);                                                      \
        return NAME##_at(list, element->LINK.previous);                                         \
    }                                                                                           \
    LIST_FUNCTION void NAME##_insert(struct NAME *list, struct list_link *after, TYPE *element) \
    {                                                                                           \
        CHECK(list->head.list == list);                                                         \
        CHECK(element->LINK.list == NULL);                                                      \
        element->LINK = (struct list_link){after, after->next, list};                           \
        after->next->previous = &element->LINK;                                                 \
        after->next = &element->LINK;                                                           \
        list->count++;                                                                          \
    }                                                                                           \
    LIST_FUNCTION void NAME##_push_front(struct NAME *list, TYPE *element)                      \
    {                                                                                           \
        NAME##_insert(list, &list->head, element);                                              \
    }                                                                                           \
    LIST_FUNCTION void NAME##_push_back(struct NAME *list, TYPE *element)                       \
    {                                                                                           \
        NAME##_insert(list, list->head.previous, element);                                      \
    }                                                                                           \
    LIST_FUNCTION void NAME##_remove(struct NAME *list, TYPE *element)                          \
    {                                                                                           \
        CHECK(element->LINK.list == list);                                                      \
        element->LINK.previous->next = element->LINK.next;                                      \
        element->LINK.next->previous = element->LINK.previous;                                  \
        element->LINK = (struct list_link){NULL, NULL, NULL};                                   \
        list->count--;                                                                          \
    }                                                                                           \
    LIST_FUNCTION TYPE *NAME##_pop_front(struct NAME *list)                                     \
    {                                                                                           \
        TYPE *element = NAME##_first(list);                                                     \
        if (element != NULL) {                                                                  \
            NAME##_remove(list, element);                                                       \
        }                                                                                       \
        return element;                                                                         \
    }                                                                                           \
    struct NAME /* the semicolon comes from the user */

/* Not every user calls every function. */
#define LIST_FUNCTION __attribute__((unused)) static inline

#endif
