/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked lists.
 *
 * A struct list is both the head of a list and a node in one. A node that is on no list points to
 * itself, so removal twice is harmless and list_is_empty() tells whether a node is linked.
 */
#ifndef FAIRLEAD_BASE_LIST_H
#define FAIRLEAD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *previous;
};

/* The struct of type `type` whose member `member` is `node`. */
#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->next = head;
	node->previous = head->previous;
	head->previous->next = node;
	head->previous = node;
}

static inline void list_remove(struct list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

/* The first node, which stays on the list; NULL where the list is empty. */
static inline struct list *list_first(const struct list *head)
{
	return list_is_empty(head) ? NULL : head->next;
}

#endif
