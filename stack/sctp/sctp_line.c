// Messages and resets that wait before usrsctp is told of them.
#include "stack/sctp/sctp_priv.h"

#include "base/arena.h"

#include <stdlib.h>

void sctp_line_init(struct sctp_line *line)
{
    *line = (struct sctp_line){.last = &line->first};
}

void sctp_line_fini(struct sctp_line *line)
{
    for (struct sctp_waiting *w = sctp_line_pop(line); w; w = sctp_line_pop(line))
        free(w);
}

void sctp_line_add(struct sctp_line *line, const struct sctp_message *message,
                   struct sctp_delivery delivery, bool reset)
{
    struct sctp_waiting *w = mem_alloc(sizeof *w + message->bytes.len);
    *w = (struct sctp_waiting){.reset = reset, .message = *message, .delivery = delivery};
    w->message.bytes.at = (const uint8_t *)(w + 1);
    if (message->bytes.len)
        memcpy(w + 1, message->bytes.at, message->bytes.len);
    *line->last = w;
    line->last = &w->next;
    line->len += message->bytes.len;
}

struct sctp_waiting *sctp_line_pop(struct sctp_line *line)
{
    struct sctp_waiting *first = line->first;
    if (!first)
        return NULL;
    line->len -= first->message.bytes.len;
    line->first = first->next;
    if (!line->first)
        line->last = &line->first;
    return first;
}

size_t sctp_line_of_stream(const struct sctp_line *line, uint16_t stream)
{
    size_t len = 0;
    for (const struct sctp_waiting *w = line->first; w; w = w->next)
        len += w->message.stream == stream ? w->message.bytes.len : 0;
    return len;
}
