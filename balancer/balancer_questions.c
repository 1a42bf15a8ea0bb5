/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to workers, asked one worker after the other. */
#include "balancer_internal.h"

static void ask_next(struct question *question);

static void visited(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    question->next++;
    ask_next(question);
}

static void visit(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    struct balancer *balancer = question->balancer;
    question->visit(balancer->workers[question->next], question);
    task_init(&question->task, visited);
    loop_post(balancer->loop, &question->task);
}

static void ask_next(struct question *question)
{
    struct balancer *balancer = question->balancer;
    while (question->next < balancer->worker_count && balancer->is_ended[question->next]) {
        question->next++;
    }
    if (question->next == balancer->worker_count) {
        question_list_remove(&balancer->questions, question);
        question->done(question);
        return;
    }
    task_init(&question->task, visit);
    loop_post(balancer->workers[question->next]->loop, &question->task);
}

void balancer_ask(struct balancer *balancer, struct question *question)
{
    question->balancer = balancer;
    question->next = 0;
    question->link = (struct list_link){NULL, NULL, NULL};
    question_list_push_back(&balancer->questions, question);
    ask_next(question);
}

/* A question that lies with a worker that has ended was never heard: what the worker posted itself
 * came before the news of its end. */
void balancer_free_questions(struct balancer *balancer, unsigned worker)
{
    struct question *question = question_list_first(&balancer->questions);
    while (question != NULL) {
        struct question *next = question_list_next(&balancer->questions, question);
        if (question->next == worker) {
            ask_next(question);
        }
        question = next;
    }
}
